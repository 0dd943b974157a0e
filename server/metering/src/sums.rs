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
    number: u64,
    sum: Sum,
}

/// A sum for each kind of period.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sums([PeriodSum; Period::ALL.len()]);

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

    /// As much of another as this has.
    pub(crate) fn part(&self, of: &Self) -> Self {
        Self { usage: self.usage.min(of.usage), cost: self.cost.min(of.cost) }
    }
}

impl PeriodSum {
    pub(crate) fn new(period: Period) -> Self {
        Self { period, number: 0, sum: Sum::default() }
    }

    pub(crate) fn period(&self) -> Period {
        self.period
    }

    pub(crate) fn get(&self, utc: UnixMillis) -> Sum {
        if self.period.number(utc) > self.number { Sum::default() } else { self.sum }
    }

    pub(crate) fn add(&mut self, utc: UnixMillis, more: &Sum) {
        self.sum = self.get(utc);
        self.number = self.number.max(self.period.number(utc));
        self.sum.add(more);
    }
}

impl Default for Sums {
    fn default() -> Self {
        Self(Period::ALL.map(PeriodSum::new))
    }
}

impl Sums {
    /// What counts at a moment.
    pub(crate) fn get(&self, period: Period, utc: UnixMillis) -> Sum {
        self.0[period as usize].get(utc)
    }

    pub(crate) fn add(&mut self, utc: UnixMillis, more: &Sum) {
        self.0.iter_mut().for_each(|sum| sum.add(utc, more));
    }

    /// Adds to one kind only: what is known of it from before.
    pub(crate) fn add_to(&mut self, period: Period, utc: UnixMillis, more: &Sum) {
        self.0[period as usize].add(utc, more);
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
    }
}
