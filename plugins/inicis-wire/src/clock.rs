//! Invariant: INICIS time is Korean time, always nine hours ahead of UTC, and what is not a real moment is not read.
//!
//! Integer arithmetic only: a component has no time library and no clock (`inicis.md §0.1, §9.4`).

const DAY_MS: i64 = 86_400_000;
const KST_MS: i64 = 9 * 3_600_000;

/// Days since 1970-01-01 of a date of the Gregorian calendar.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

/// The date of a day since 1970-01-01.
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + if month <= 2 { 1 } else { 0 }, month, day)
}

/// Whether the moment has thirteen digits, as every millisecond timestamp of INICIS (`inicis.md §0.1`).
pub const fn is_13_digits(epoch_ms: i64) -> bool {
    epoch_ms >= 1_000_000_000_000 && epoch_ms <= 9_999_999_999_999
}

/// `YYYYMMDDhhmmss` in Korean time, 24-hour (`inicis.md §0.1`). Absent outside the years 1970–9999.
pub fn kst14(epoch_ms: i64) -> Option<String> {
    let local = epoch_ms.checked_add(KST_MS).filter(|_| epoch_ms >= 0)?;
    let (year, month, day) = civil_from_days(local.div_euclid(DAY_MS));
    let seconds = local.rem_euclid(DAY_MS) / 1000;
    if year > 9999 {
        return None;
    }
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(format!("{year:04}{month:02}{day:02}{h:02}{m:02}{s:02}"))
}

/// The moment of `YYYYMMDD` and `hhmmss` in Korean time; absent when it is no real moment.
pub fn from_kst(date: &str, time: &str) -> Option<i64> {
    let number = |text: &str, from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    if date.len() != 8 || time.len() != 6 {
        return None;
    }
    let (year, month, day) = (number(date, 0, 4)?, number(date, 4, 6)?, number(date, 6, 8)?);
    let (h, m, s) = (number(time, 0, 2)?, number(time, 2, 4)?, number(time, 4, 6)?);
    let days = days_from_civil(year, month, day);
    let real = year >= 1970 && (1..=12).contains(&month) && civil_from_days(days) == (year, month, day);
    if !real || h > 23 || m > 59 || s > 59 {
        return None;
    }
    Some(days * DAY_MS + ((h * 60 + m) * 60 + s) * 1000 - KST_MS)
}

/// The moment of `YYYYMMDDhhmmss` in Korean time.
pub fn from_kst14(text: &str) -> Option<i64> {
    let (date, time) = text.split_at_checked(8)?;
    from_kst(date, time)
}

/// The moment of `2026-12-31T23:59:00+09:00`; seconds, a fraction and `Z` as in RFC 3339. Absent when it is not one.
pub fn from_rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at_checked(zone)?;
    let time = time.split('.').next()?;
    let digits = |text: &str| text.split([':', '-']).collect::<String>();
    let time = if time.len() == 5 { format!("{}00", digits(time)) } else { digits(time) };
    let as_korean = from_kst(&digits(date), &time)?;
    let offset_ms = match zone.get(1..)? {
        "" => 0,
        hhmm => {
            let (hours, minutes) = hhmm.split_once(':')?;
            let whole = hours.len() == 2 && minutes.len() == 2;
            let (hours, minutes) = (hours.parse::<i64>().ok()?, minutes.parse::<i64>().ok()?);
            let minutes = Some(hours * 60 + minutes).filter(|_| whole && hours <= 23 && minutes <= 59)?;
            if zone.starts_with('-') { -minutes * 60_000 } else { minutes * 60_000 }
        }
    };
    Some(as_korean + KST_MS - offset_ms)
}

/// The moment of an HTTP `date` header: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn from_http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let (time, zone) = (words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let time: String = time.split(':').collect();
    from_kst(&format!("{year}{month:02}{day}"), &time).filter(|_| zone == "GMT").map(|at| at + KST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn korean_midnight_is_the_day_before_in_utc() {
        assert_eq!(kst14(1_767_193_200_000).as_deref(), Some("20260101000000"));
        assert_eq!(from_kst("20260101", "000000"), Some(1_767_193_200_000));
    }

    #[test]
    fn moments_that_do_not_exist_are_not_read() {
        for (date, time) in [
            ("20260229", "000000"),
            ("20260001", "000000"),
            ("20261301", "000000"),
            ("20260132", "000000"),
            ("20260101", "240000"),
            ("20260101", "006000"),
            ("20260101", "000060"),
            ("2026010", "000000"),
            ("+2026101", "000000"),
            ("한국어", "000000"),
            ("20260101", "00000"),
        ] {
            assert_eq!(from_kst(date, time), None, "{date} {time}");
        }
        assert!(from_kst("20240229", "235959").is_some());
    }

    #[test]
    fn moments_outside_the_form_have_no_text() {
        assert_eq!(kst14(-1), None);
        assert_eq!(kst14(i64::MAX), None);
        assert_eq!(kst14(253_402_300_800_000), None);
    }

    #[test]
    fn a_moment_with_its_zone_is_the_same_moment() {
        for text in ["2026-01-01T00:00:00+09:00", "2025-12-31T15:00Z", "2025-12-31T14:00:00.5-01:00"] {
            assert_eq!(from_rfc3339(text), Some(1_767_193_200_000), "{text}");
        }
        for text in
            ["2026-01-01", "2026-01-01T00:00:00", "2026-01-01T25:00Z", "T", "2026-01-01T00:00:00+9", "한T국Z"]
        {
            assert_eq!(from_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn an_http_date_is_read_in_greenwich() {
        assert_eq!(from_http_date("Wed, 31 Dec 2025 15:00:00 GMT"), Some(1_767_193_200_000));
        for text in [
            "",
            "Wed, 31 Dec 2025 15:00:00",
            "Wed, 31 Dec 2025 15:00:00 KST",
            "Wed, 31 Foo 2025 15:00:00 GMT",
        ] {
            assert_eq!(from_http_date(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_second_survives_the_round_trip(second in 0_i64..253_402_000_000) {
            let text = kst14(second * 1000).unwrap();
            proptest::prop_assert_eq!(from_kst(&text[..8], &text[8..]), Some(second * 1000));
        }
    }
}
