//! Moments and spans of time as people write them: `2026-11-01`, `2026-11-01T12:00:00Z`, `30d`, and
//! as JSON has them: Unix seconds.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use chrono::{DateTime, NaiveDate, NaiveDateTime};

const UNITS: [(char, u64); 5] =
    [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 7 * 86_400)];
/// A hundred years.
const MAX_SECS: u64 = 100 * 366 * 86_400;
/// The end of the year 9999, in Unix seconds.
const LAST_SECOND: i64 = 253_402_300_799;
/// Fewer digits are no Unix seconds of this century, but something that lacks its unit.
const MIN_UNIX_DIGITS: usize = 9;
const MILLIS_PER_SECOND: i64 = 1_000;
/// UTC, as it is where nothing else is said; the last is how tables show times.
const FORMATS: [&str; 3] = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];

/// A length of time: `90s`, `15m`, `1h`, `30d`, `2w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// A moment, or how far it is from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Unix milliseconds.
    At(i64),
    /// Before or after now, as the option means it.
    Away(Span),
}

impl When {
    /// Unix milliseconds, where a span is meant to be over.
    pub(crate) fn before(self, now_ms: i64) -> i64 {
        self.away_by(now_ms, |now, away| now.saturating_sub(away))
    }

    /// Unix milliseconds, where a span is meant to come.
    pub(crate) fn after(self, now_ms: i64) -> i64 {
        self.away_by(now_ms, i64::saturating_add)
    }

    fn away_by(self, now_ms: i64, away: fn(i64, i64) -> i64) -> i64 {
        match self {
            Self::At(at) => at,
            Self::Away(Span(span)) => {
                away(now_ms, i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is no length of time; write it like 90s, 15m, 1h or 30d");
        let unit = text.chars().next_back().ok_or_else(error)?;
        let (_, secs) = UNITS.iter().find(|(letter, _)| *letter == unit).ok_or_else(error)?;
        let number = text.strip_suffix(unit).unwrap_or_default();
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        let secs = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*secs));
        match secs {
            Some(secs) if secs <= MAX_SECS => Ok(Self(Duration::from_secs(secs))),
            _ => Err(format!("`{text}` is more than a hundred years")),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = text.parse() {
            return Ok(Self::Away(span));
        }
        let at = moment(text).ok_or_else(|| {
            format!(
                "`{text}` is no time; write it like 2026-11-01, 2026-11-01T12:00:00Z (UTC where \
                 nothing is said), 1793534400 or 1793534400000ms since 1970, or 24h or 30d from now"
            )
        })?;
        match at {
            ..0 => Err(format!("`{text}` is before 1970")),
            at if at > LAST_SECOND * MILLIS_PER_SECOND => {
                Err(format!("`{text}` is after the year 9999; Unix milliseconds end with `ms`"))
            }
            at => Ok(Self::At(at)),
        }
    }
}

/// A moment in Unix milliseconds, if it is written as one.
fn moment(text: &str) -> Option<i64> {
    let number = |digits: &str| {
        let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        if are_digits { digits.parse::<i64>().ok() } else { None }
    };
    if let Some(millis) = text.strip_suffix("ms") {
        return number(millis);
    }
    if let Some(seconds) = number(text).filter(|_| text.len() >= MIN_UNIX_DIGITS) {
        return Some(seconds.saturating_mul(MILLIS_PER_SECOND));
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp_millis());
    }
    let mut formats = FORMATS.iter();
    let at = formats.find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(NaiveDateTime::from);
    at.or_else(day).map(|at| at.and_utc().timestamp_millis())
}

/// That what begins at `--from` (or now) ends after that, if `--until` says when; in Unix
/// milliseconds.
///
/// # Errors
/// If it would not.
pub(crate) fn check_end(from: Option<i64>, until: Option<i64>, now_ms: i64) -> Result<()> {
    match until {
        Some(until) if until <= from.unwrap_or(now_ms) => {
            let begin = from.map_or("now".to_owned(), |from| format!("--from, {}", Shown(from)));
            bail!("--until, {}, is not later than {begin} (UTC): give a later time", Shown(until))
        }
        _ => Ok(()),
    }
}

/// Unix milliseconds in seconds, as JSON has times.
pub(crate) fn seconds(millis: i64) -> i64 {
    millis.div_euclid(MILLIS_PER_SECOND)
}

/// A moment as tables show it: UTC, to the minute.
pub(crate) struct Shown(pub(crate) i64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_millis(self.0) {
            Some(at) => write!(f, "{}", at.format("%Y-%m-%d %H:%M")),
            None => f.write_str("-"),
        }
    }
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_parse_as_people_write_them() {
        let at = |text: &str| text.parse::<When>().map(|when| when.before(100_000_000));
        // By `date -u -d … +%s`.
        assert_eq!(at("2026-11-01"), Ok(1_793_491_200_000));
        assert_eq!(at("2026-11-01T12:00:00"), Ok(1_793_534_400_000));
        assert_eq!(at("2026-11-01T12:00:00+01:00"), Ok(1_793_530_800_000));
        assert_eq!(at("2026-11-01 12:00"), Ok(1_793_534_400_000));
        assert_eq!(at("1793534400000ms"), Ok(1_793_534_400_000));
        assert_eq!(at("1793534400"), Ok(1_793_534_400_000));
        assert_eq!(at("1d"), Ok(13_600_000));
        assert_eq!("90s".parse::<When>().map(|when| when.after(5)), Ok(90_005));
        for text in ["", "d", "1", "1y", "-1d", "soon", "2026-13-01", "ms", "+1ms", "99999999999w"]
        {
            let error = text.parse::<When>().unwrap_err();
            assert!(error.contains("write it like 2026-11-01"), "{error}");
        }
        for (text, why) in [
            ("1969-12-31", "before 1970"),
            ("1793534400000", "milliseconds end with `ms`"),
            ("9999999999999999999ms", "is no time"),
            ("999999999999999ms", "after the year 9999"),
        ] {
            let error = text.parse::<When>().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(Shown(1_793_534_400_000).to_string(), "2026-11-01 12:00");
    }

    #[test]
    fn what_would_end_before_it_begins_is_told_so() {
        let check = |from, until| check_end(from, until, 1_793_534_400_000);
        assert!(check(None, None).is_ok() && check(None, Some(1_793_534_400_001)).is_ok());
        assert!(check(Some(5), Some(6)).is_ok());
        let error = check(None, Some(1_577_836_800_000)).unwrap_err().to_string();
        assert_eq!(
            error,
            "--until, 2020-01-01 00:00, is not later than now (UTC): give a later time"
        );
        let error = check(Some(6), Some(6)).unwrap_err().to_string();
        assert!(error.contains("not later than --from, 1970-01-01 00:00"), "{error}");
    }
}
