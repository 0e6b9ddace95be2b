//! What follows from an answer. Invariant: only 2xx is "taken"; everything else is tried again until the schedule is over,
//! and 410 ends it at once.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;

use super::client::Answer;

/// Waits before each try, in seconds: at once, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h; 75.6 h in all.
pub const DEFAULT: &[u64] = &[0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// Events that must have been tried in vain, with nothing arriving between them, before an endpoint is switched off.
pub const IN_VAIN: i64 = 3;
/// Longest wait that a receiver may ask for.
const RETRY_AFTER_MAX_US: i64 = 24 * 3600 * 1_000_000;
/// By how much a wait is stretched or shortened, so that a crowd does not come back together: a fifth.
const JITTER_PARTS: i64 = 5;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it was taken.
    Delivered,
    /// Again at this time, in microseconds.
    Again(i64),
    /// Nothing: the schedule is over.
    GivenUp,
    /// Nothing: the receiver said that it is gone for good.
    Gone,
}

/// What follows after the `tries`-th try. `dice` is a random number.
pub fn next(schedule: &[Duration], tries: i64, answer: &Answer, now_us: i64, dice: u32) -> Next {
    let asked = match answer {
        Answer::Status { status: 200..=299, .. } => return Next::Delivered,
        Answer::Status { status: 410, .. } => return Next::Gone,
        Answer::Status { retry_after, .. } => retry_after.as_deref().and_then(|text| wish(text, now_us)),
        Answer::Failed(_) => None,
    };
    let wait = usize::try_from(tries).ok().and_then(|tries| schedule.get(tries));
    let Some(wait) = wait else { return Next::GivenUp };
    let wait_us = jittered(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX), dice);
    Next::Again(now_us.saturating_add(wait_us.max(asked.unwrap_or(0))))
}

/// Between four and six fifths of a wait.
fn jittered(wait_us: i64, dice: u32) -> i64 {
    let span = wait_us / JITTER_PARTS;
    let part = i128::from(span) * 2 * i128::from(dice) / i128::from(u32::MAX);
    wait_us.saturating_sub(span).saturating_add(i64::try_from(part).unwrap_or(0))
}

/// `Retry-After`, in seconds or as a date: how long to wait, in microseconds.
fn wish(text: &str, now_us: i64) -> Option<i64> {
    let wait_us = match text.trim().parse::<i64>() {
        Ok(seconds) => seconds.saturating_mul(1_000_000),
        Err(_) => {
            let date = DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
            date.as_microsecond().saturating_sub(now_us)
        }
    };
    Some(wait_us.clamp(0, RETRY_AFTER_MAX_US))
}

/// How long an endpoint must have failed without a break before it is switched off: the shortest way through the schedule.
pub fn patience_us(schedule: &[Duration]) -> i64 {
    let total: Duration = schedule.iter().sum();
    i64::try_from(total.as_micros()).unwrap_or(i64::MAX) / JITTER_PARTS * (JITTER_PARTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_800_000_000_000_000;

    fn schedule() -> Vec<Duration> {
        DEFAULT.iter().copied().map(Duration::from_secs).collect()
    }

    fn status(status: u16, retry_after: Option<&str>) -> Answer {
        Answer::Status { status, retry_after: retry_after.map(str::to_owned), body: String::new() }
    }

    fn wait_s(tries: i64, answer: &Answer, dice: u32) -> i64 {
        match next(&schedule(), tries, answer, NOW_US, dice) {
            Next::Again(due_us) => (due_us - NOW_US) / 1_000_000,
            other @ (Next::Delivered | Next::GivenUp | Next::Gone) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_delivery_is_tried_ten_times_over_75_hours() {
        let waits: Vec<i64> = (1..10).map(|tries| wait_s(tries, &status(500, None), u32::MAX / 2)).collect();
        let middle = [4, 299, 1_799, 7_199, 17_999, 35_999, 50_399, 71_999, 86_399];
        assert_eq!(waits, middle, "the middle of the jitter, rounded down");
        assert_eq!(next(&schedule(), 10, &status(500, None), NOW_US, 0), Next::GivenUp);
        assert_eq!(DEFAULT.iter().sum::<u64>(), 272_105);
    }

    #[test]
    fn a_wait_is_stretched_or_shortened_by_a_fifth_at_most() {
        for (dice, wait) in [(0, 240), (u32::MAX, 360)] {
            assert_eq!(wait_s(2, &status(500, None), dice), wait);
        }
    }

    #[test]
    fn only_2xx_is_taken_and_410_ends_it() {
        for good in [200, 201, 202, 204, 299] {
            assert_eq!(next(&schedule(), 1, &status(good, None), NOW_US, 0), Next::Delivered);
        }
        for bad in [100, 199, 300, 301, 302, 307, 308, 400, 401, 404, 409, 429, 500, 503] {
            assert!(matches!(next(&schedule(), 1, &status(bad, None), NOW_US, 0), Next::Again(_)), "{bad}");
        }
        assert_eq!(next(&schedule(), 1, &status(410, None), NOW_US, 0), Next::Gone);
        let failed = Answer::Failed("reset".to_owned());
        assert!(matches!(next(&schedule(), 1, &failed, NOW_US, 0), Next::Again(_)));
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_wait_up_to_a_day() {
        assert_eq!(wait_s(1, &status(429, Some("60")), 0), 60);
        assert_eq!(wait_s(1, &status(503, Some(" 120 ")), 0), 120);
        assert_eq!(wait_s(1, &status(429, Some("1")), 0), 4, "never shorter than the schedule");
        assert_eq!(wait_s(1, &status(429, Some("99999999999999999")), 0), 86_400);
        assert_eq!(wait_s(1, &status(429, Some("Fri, 15 Jan 2027 08:10:00 GMT")), 0), 600);
        for nonsense in ["", "soon", "-5", "1.5", "Wed, 99 Jan 2027 08:10:00 GMT"] {
            assert_eq!(wait_s(1, &status(429, Some(nonsense)), 0), 4, "{nonsense:?}");
        }
    }
}
