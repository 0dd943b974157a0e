//! The periods that limits and prices count in, in UTC.
//!
//! Invariant: every moment is in one day and one month, and the next one's number is one more.

use std::fmt;

use crate::UnixMillis;

const MILLIS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// How long something is counted before it begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// From midnight to midnight, UTC.
    Day,
    /// A month of the calendar, UTC.
    Month,
    /// It never begins anew.
    Total,
}

impl Period {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Day, Self::Month, Self::Total];

    /// Which one a moment is in: the days since 1970, or the months since the year 0.
    #[must_use]
    pub fn number(self, at: UnixMillis) -> u64 {
        let days = at.0 / MILLIS_PER_DAY;
        match self {
            Self::Day => days,
            Self::Month => month_of(days),
            Self::Total => 0,
        }
    }

    /// The first moment of the one with a number, from that of 1970-01-01 on.
    #[must_use]
    pub fn start(self, number: u64) -> Option<UnixMillis> {
        let days = match self {
            Self::Day => number,
            Self::Month if number < month_of(0) => return None,
            // Of 2⁵³ months the days fit.
            Self::Month if number < 1 << 53 => first_day_of(number),
            Self::Month | Self::Total => return None,
        };
        days.checked_mul(MILLIS_PER_DAY).map(UnixMillis)
    }

    /// When the one that a moment is in is over.
    #[must_use]
    pub fn end(self, at: UnixMillis) -> Option<UnixMillis> {
        let days = match self {
            Self::Day => self.number(at) + 1,
            Self::Month => first_day_of(self.number(at) + 1),
            Self::Total => return None,
        };
        days.checked_mul(MILLIS_PER_DAY).map(UnixMillis)
    }
}

impl UnixMillis {
    /// The day, UTC, as `2026-11-28`.
    #[must_use]
    pub fn date(self) -> String {
        let days = Period::Day.number(self);
        let month = month_of(days);
        let day = days.saturating_sub(first_day_of(month)) + 1;
        format!("{:04}-{:02}-{day:02}", month / 12, month % 12 + 1)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        })
    }
}

// Days and months of the Gregorian calendar as in Hinnant's "chrono-compatible low-level date
// algorithms": years begin in March, so that the day of a leap year is a year's last.
const DAYS_BEFORE_1970: u64 = 719_468;
const DAYS_PER_400_YEARS: u64 = 146_097;

fn month_of(days: u64) -> u64 {
    let days = days + DAYS_BEFORE_1970;
    let (era, day) = (days / DAYS_PER_400_YEARS, days % DAYS_PER_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day + 2) / 153;
    (era * 400 + year) * 12 + month_from_march + 2
}

fn first_day_of(month: u64) -> u64 {
    let (year, month_from_march) = ((month - 2) / 12, (month - 2) % 12);
    let (era, year) = (year / 400, year % 400);
    let day = 365 * year + year / 4 - year / 100 + (153 * month_from_march + 2) / 5;
    era * DAYS_PER_400_YEARS + day - DAYS_BEFORE_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        // Seconds by `date -u -d … +%s`, and the month's number: 12 × year + month − 1.
        let cases = [
            (0, 1970 * 12, "1970-01-01"),
            (951_782_400, 2000 * 12 + 1, "2000-02-29"),
            (951_868_799, 2000 * 12 + 1, "2000-02-29"), // its last second
            (951_868_800, 2000 * 12 + 2, "2000-03-01"),
            (1_798_761_599, 2026 * 12 + 11, "2026-12-31"), // 23:59:59
            (1_798_761_600, 2027 * 12, "2027-01-01"),
            (4_107_542_400, 2100 * 12 + 2, "2100-03-01"), // the day after 02-28
            (4_107_542_399, 2100 * 12 + 1, "2100-02-28"),
        ];
        for (secs, month, date) in cases {
            assert_eq!(Period::Month.number(UnixMillis(secs * 1000)), month, "{secs}");
            assert_eq!(UnixMillis(secs * 1000).date(), date);
        }
        let start = |month| Period::Month.start(month);
        assert_eq!(start(2027 * 12), Some(UnixMillis(1_798_761_600_000)));
        assert_eq!(start(1970 * 12), Some(UnixMillis(0)));
        assert_eq!((start(1970 * 12 - 1), start(u64::MAX)), (None, None));
        assert_eq!(Period::Day.start(2), Some(UnixMillis(2 * MILLIS_PER_DAY)));
        assert_eq!(
            Period::Month.end(UnixMillis(951_782_400_000)),
            Some(UnixMillis(951_868_800_000))
        );
        assert_eq!(Period::Total.end(UnixMillis(5)), None);
    }

    #[test]
    fn each_day_of_four_hundred_years_is_in_the_month_that_ends_after_it() {
        let mut month = Period::Month.number(UnixMillis(0));
        for day in 0..DAYS_PER_400_YEARS {
            let at = UnixMillis(day * MILLIS_PER_DAY);
            assert_eq!(Period::Day.end(at), Some(UnixMillis((day + 1) * MILLIS_PER_DAY)));
            let next = Period::Month.number(at);
            assert!(next == month || next == month + 1);
            assert_eq!(next == month + 1, first_day_of(next) == day && day > 0, "{day}");
            assert!(Period::Month.end(at).unwrap() > at);
            month = next;
        }
        assert_eq!(month, (1970 + 399) * 12 + 11);
    }

    #[test]
    fn no_moment_panics() {
        for period in Period::ALL {
            let _ = period.number(UnixMillis(u64::MAX));
            let _ = period.end(UnixMillis(u64::MAX));
        }
        assert!(!UnixMillis(u64::MAX).date().is_empty());
    }
}
