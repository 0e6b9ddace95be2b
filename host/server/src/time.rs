//! Moments. Invariant: the host counts in whole microseconds of UTC; text is RFC 3339, and a date alone means 23:59 in Seoul.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

/// Where the host's time comes from; tests bring their own.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since 1970-01-01T00:00Z.
    fn now_us(&self) -> i64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_us(&self) -> i64 {
        Timestamp::now().as_microsecond()
    }
}

/// The clock of the program: the machine's.
#[cfg(not(feature = "chaos"))]
pub fn of_this_program() -> std::sync::Arc<dyn Clock> {
    std::sync::Arc::new(SystemClock)
}

/// The clock of a chaos build: the machine's, ahead by the milliseconds that the file `PAYHOST_CLOCK_FILE` says at the moment.
#[cfg(feature = "chaos")]
pub fn of_this_program() -> std::sync::Arc<dyn Clock> {
    struct Moved(Option<std::path::PathBuf>);
    impl Clock for Moved {
        fn now_us(&self) -> i64 {
            let text = self.0.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
            let ahead_ms: i64 = text.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            SystemClock.now_us().saturating_add(ahead_ms.saturating_mul(1000))
        }
    }
    std::sync::Arc::new(Moved(std::env::var_os("PAYHOST_CLOCK_FILE").map(Into::into)))
}

/// RFC 3339 with seconds, in UTC.
pub fn rfc3339(us: i64) -> String {
    Timestamp::from_microsecond(us)
        .ok()
        .and_then(|moment| moment.round(Unit::Second).ok())
        .map_or_else(|| "1970-01-01T00:00:00Z".to_owned(), |moment| moment.to_string())
}

/// Reads RFC 3339, or a date alone.
pub fn parse_moment(text: &str) -> Option<i64> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_microsecond());
    }
    let date: Date = if text.len() == "2026-11-21".len() { text.parse().ok()? } else { return None };
    let seoul = TimeZone::get("Asia/Seoul").ok()?;
    let moment = date.at(23, 59, 0, 0).to_zoned(seoul).ok()?;
    Some(moment.timestamp().as_microsecond())
}

/// A bound of a span of time, in microseconds: RFC 3339, or a date in Seoul, of which the first moment is meant or, with `end`,
/// the first moment of the next day.
pub fn bound(text: &str, end: bool) -> Option<i64> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_microsecond());
    }
    let date: Date = if text.len() == "2026-11-21".len() { text.parse().ok()? } else { return None };
    let date = if end { date.tomorrow().ok()? } else { date };
    let first = date.at(0, 0, 0, 0).to_zoned(TimeZone::get("Asia/Seoul").ok()?).ok()?;
    Some(first.timestamp().as_microsecond())
}

/// RFC 3339 as buyers read it: `2026-11-21 23:59`, in Seoul. Anything else stays as it is.
pub fn in_seoul(text: &str) -> String {
    let seoul = TimeZone::get("Asia/Seoul").ok();
    let moment = text.parse::<Timestamp>().ok().zip(seoul);
    moment.map_or_else(
        || text.to_owned(),
        |(moment, seoul)| moment.to_zoned(seoul).strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buyers_read_the_time_in_seoul() {
        assert_eq!(in_seoul("2026-12-02T14:59:00Z"), "2026-12-02 23:59");
        assert_eq!(in_seoul("soon"), "soon");
    }

    #[test]
    fn a_date_alone_means_the_end_of_that_day_in_seoul() {
        assert_eq!(rfc3339(parse_moment("2026-11-21").unwrap()), "2026-11-21T14:59:00Z");
    }

    #[test]
    fn a_day_in_seoul_is_from_its_midnight_to_the_next() {
        assert_eq!(rfc3339(bound("2026-11-21", false).unwrap()), "2026-11-20T15:00:00Z");
        assert_eq!(rfc3339(bound("2026-11-21", true).unwrap()), "2026-11-21T15:00:00Z");
        assert_eq!(bound("2026-11-21T00:00:00Z", true), bound("2026-11-21T00:00:00Z", false));
        assert_eq!(bound("yesterday", false), None);
    }

    #[test]
    fn moments_read_back() {
        let us = parse_moment("2026-11-21T10:00:00+09:00").unwrap();
        assert_eq!(rfc3339(us), "2026-11-21T01:00:00Z");
        for bad in ["", "tomorrow", "2026-13-01", "2026-02-30", "2026-11-21T25:00:00Z", "20261121"] {
            assert_eq!(parse_moment(bad), None, "{bad}");
        }
    }
}
