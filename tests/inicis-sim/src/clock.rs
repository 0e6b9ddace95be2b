//! Invariant: nothing in the simulator asks the system for the time except through one [`Clock`], and every
//! 14-digit time on the wire is Korean time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, offset};

type Source = dyn Fn() -> Timestamp + Send + Sync;

/// Where the time comes from, with an offset that tests and `POST /_sim/clock` may move.
#[derive(Clone)]
pub struct Clock {
    source: Arc<Source>,
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The system clock.
    #[must_use]
    pub fn system() -> Self {
        Self::from_source(Timestamp::now)
    }

    /// A clock of the caller's.
    pub fn from_source(source: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { source: Arc::new(source), offset_ms: Arc::new(AtomicI64::new(0)) }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        (self.source)().as_millisecond().saturating_add(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Moves the clock by so many milliseconds, for good.
    pub fn advance_ms(&self, ms: i64) {
        self.offset_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock").field("offset_ms", &self.offset_ms).finish_non_exhaustive()
    }
}

/// Korea has no summer time, so a fixed offset is the whole time zone and no database is needed.
fn korea() -> TimeZone {
    TimeZone::fixed(offset(9))
}

/// `YYYYMMDDhhmmss` in Korea.
#[must_use]
pub fn kst14(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(korea())
        .strftime("%Y%m%d%H%M%S")
        .to_string()
}

/// Date (8 digits) and time (6 digits) in Korea.
#[must_use]
pub fn kst_date_time(ms: i64) -> (String, String) {
    let all = kst14(ms);
    let (date, time) = all.split_at_checked(8).unwrap_or((&all, ""));
    (date.to_owned(), time.to_owned())
}

/// Milliseconds of a 14-digit Korean time; `None` if it is not one.
#[must_use]
pub fn parse_kst14(text: &str) -> Option<i64> {
    if text.len() != 14 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let civil = DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    civil.to_zoned(korea()).ok().map(|zoned| zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fourteen_digits_are_korean_time() {
        assert_eq!(kst14(1_767_193_200_000), "20260101000000");
        assert_eq!(parse_kst14("20260101000000"), Some(1_767_193_200_000));
        assert_eq!(parse_kst14("20261301000000"), None);
        assert_eq!(parse_kst14("2026010100000"), None);
    }
}
