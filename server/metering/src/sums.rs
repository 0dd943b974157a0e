//! What was used in the present day, the present month and ever.
//!
//! Invariant: a period begins anew once, however the clock is set: what is told to be of an earlier
//! one counts in the present one.

use crate::{Period, Picos, UnixMillis, Usage};

/// What was used, and what it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// The units.
    pub usage: Usage,
    /// Their cost, exactly.
    pub cost: Picos,
}

/// A sum that begins anew with each of its periods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeriodSum {
    period: Period,
    sum: Sum,
    /// The first moment behind the period that it is of; the first of all, if it is of none yet.
    until: UnixMillis,
}

/// A sum for each kind of period. Only that of all time is added to: a period's is what came to it
/// since that began, so a request changes one sum, and not three.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    total: Sum,
    day: Begun,
    month: Begun,
}

/// A period that has begun.
#[derive(Clone, Copy, Debug, Default)]
struct Begun {
    /// What the sum of all time was then. Counts go round: where more is known of a period than of
    /// all time, this is less than nothing.
    before: Sum,
    /// As a [`PeriodSum`] has it.
    until: UnixMillis,
}

impl Sum {
    /// Adds another; what does not fit stays at the largest.
    pub fn add(&mut self, more: &Self) {
        self.usage = self.usage.saturating_add(more.usage);
        self.cost = self.cost.saturating_add(more.cost);
    }

    /// Takes away as much as there is.
    pub(crate) fn take(&mut self, less: &Self) {
        self.usage = self.usage.saturating_sub(less.usage);
        self.cost = self.cost.saturating_sub(less.cost).max(Picos::ZERO);
    }

    /// What is left of it without a part; counts go round.
    fn less(&self, part: &Self) -> Self {
        let cost = self.cost.get().wrapping_sub(part.cost.get());
        Self { usage: self.usage.wrapping_sub(part.usage), cost: Picos::new(cost) }
    }

    /// As much of another as this has.
    pub(crate) fn part(&self, of: &Self) -> Self {
        Self { usage: self.usage.min(of.usage), cost: self.cost.min(of.cost) }
    }
}

impl PeriodSum {
    pub(crate) fn new(period: Period) -> Self {
        Self { period, sum: Sum::default(), until: UnixMillis::default() }
    }

    pub(crate) fn period(&self) -> Period {
        self.period
    }

    pub(crate) fn get(&self, utc: UnixMillis) -> Sum {
        if utc >= self.until { Sum::default() } else { self.sum }
    }

    pub(crate) fn add(&mut self, utc: UnixMillis, more: &Sum) {
        if utc >= self.until {
            (self.sum, self.until) = (Sum::default(), end(self.period, utc));
        }
        self.sum.add(more);
    }
}

impl Begun {
    fn begin(&mut self, period: Period, utc: UnixMillis, total: &Sum) {
        if utc >= self.until {
            (self.before, self.until) = (*total, end(period, utc));
        }
    }

    fn get(&self, utc: UnixMillis, total: &Sum) -> Sum {
        if utc >= self.until { Sum::default() } else { total.less(&self.before) }
    }
}

fn end(period: Period, utc: UnixMillis) -> UnixMillis {
    period.end(utc).unwrap_or(UnixMillis(u64::MAX))
}

impl Sums {
    /// What counts at a moment.
    pub(crate) fn get(&self, period: Period, utc: UnixMillis) -> Sum {
        match period {
            Period::Day => self.day.get(utc, &self.total),
            Period::Month => self.month.get(utc, &self.total),
            Period::Total => self.total,
        }
    }

    pub(crate) fn add(&mut self, utc: UnixMillis, more: &Sum) {
        self.day.begin(Period::Day, utc, &self.total);
        self.month.begin(Period::Month, utc, &self.total);
        self.total.add(more);
    }

    /// Adds to one kind only: what is known of it from before.
    pub(crate) fn add_to(&mut self, period: Period, utc: UnixMillis, more: &Sum) {
        let begun = match period {
            Period::Day => &mut self.day,
            Period::Month => &mut self.month,
            Period::Total => {
                let less = Sum::default().less(more);
                self.day.before = self.day.before.less(&less);
                self.month.before = self.month.before.less(&less);
                return self.total.add(more);
            }
        };
        begun.begin(period, utc, &self.total);
        begun.before = begun.before.less(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Meter;

    #[test]
    fn a_period_begins_anew_once_and_a_clock_that_is_set_back_does_not_repeat_it() {
        let one = Sum { usage: Usage::NONE.with(Meter::Images, 1), cost: Picos::new(7) };
        let day = |n: u64| UnixMillis(n * 86_400_000);
        let mut sums = Sums::default();
        sums.add(day(20_000), &one);
        sums.add(day(20_000), &one);
        let images = |sums: &Sums, period, at| sums.get(period, at).usage.get(Meter::Images);
        assert_eq!(images(&sums, Period::Day, day(20_000)), 2);
        assert_eq!(images(&sums, Period::Day, day(20_001)), 0);
        sums.add(day(20_001), &one);
        assert_eq!(images(&sums, Period::Day, day(20_001)), 1);
        sums.add(day(20_000), &one);
        assert_eq!(images(&sums, Period::Day, day(20_000)), 2);
        assert_eq!(images(&sums, Period::Month, day(20_001)), 4);
        assert_eq!(sums.get(Period::Total, day(99_999)).cost, Picos::new(28));
        // What is known from before is of one kind, whatever was added meanwhile.
        for (period, times) in [(Period::Total, 5), (Period::Day, 3), (Period::Month, 2)] {
            (0..times).for_each(|_| sums.add_to(period, day(20_001), &one));
        }
        let images = |period| images(&sums, period, day(20_001));
        assert_eq!(Period::ALL.map(images), [5, 6, 9]);
        sums.add(day(20_002), &one);
        let images = |period| sums.get(period, day(20_002)).usage.get(Meter::Images);
        assert_eq!(Period::ALL.map(images), [1, 7, 10]);
    }
}
