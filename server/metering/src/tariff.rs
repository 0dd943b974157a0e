//! What a meter's units cost, by how many were used before.
//!
//! Invariant: the n-th unit of a period has one price, a whole number of pico-units, whatever
//! request it is of. So the parts of a usage cost together what it costs at once, and no order of
//! settling changes a total.

use crate::{Micros, Picos};

/// The most steps of a tariff.
pub const MAX_STEPS: usize = 32;
/// 10⁹ of the currency for a million units. With it no usage costs more than fits:
/// 2⁶⁵ positions × 2⁵⁰ < 2¹²⁷.
const MAX_MICROS: i64 = 1_000_000_000_000_000;
const BASIS_POINTS: u64 = 10_000;

/// What a million units cost in micro-units, which is what one costs in pico-units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price(u64);

/// From which unit of a period on a price holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many units were used before it.
    pub from: u64,
    /// What they cost from there on.
    pub price: Price,
}

/// A discount that was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// For so many units of a period, after the free ones.
    pub units: u64,
    /// Hundredths of a percent off; a discounted price is rounded upwards to a whole pico-unit for
    /// a unit.
    pub discount_basis_points: u16,
}

/// What is agreed on about a meter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// So many units of each period are free.
    pub free_units: u64,
    /// Prices by the units used in the period, the free ones with them; the first from 0.
    pub steps: Vec<Step>,
    /// A discount for some of them.
    pub committed: Option<Committed>,
}

/// Why there is no such price or tariff.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TariffError {
    /// A price is below zero, or absurd.
    #[error("a price of {0} for a million units is not from 0 to 1000000000")]
    Price(Micros),
    /// The steps do not say what each unit costs.
    #[error("steps begin at 0 and go upwards, 1 to {MAX_STEPS} of them: step {idx} is from {from}")]
    Steps {
        /// Which.
        idx: usize,
        /// Where it begins.
        from: u64,
    },
    /// There are none, or too many.
    #[error("there are {0} steps: give 1 to {MAX_STEPS}")]
    NumSteps(usize),
    /// More than all is taken off.
    #[error("a discount of {0} basis points is more than 10000, which is all")]
    Discount(u16),
}

/// What each unit of a meter costs in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tariff {
    /// Ascending, the first from 0; each holds until the next.
    segments: Vec<Step>,
    ceiling: Price,
}

impl Price {
    /// What a million units cost.
    ///
    /// # Errors
    /// If that is negative, or more than 10⁹ of the currency.
    pub fn per_million(price: Micros) -> Result<Self, TariffError> {
        match u64::try_from(price.get()) {
            Ok(micros) if price.get() <= MAX_MICROS => Ok(Self(micros)),
            _ => Err(TariffError::Price(price)),
        }
    }

    /// The pico-units of one unit.
    #[must_use]
    pub fn picos(self) -> Picos {
        self.of(1)
    }

    /// What so many units cost.
    pub(crate) fn of(self, units: u128) -> Picos {
        // At most 2⁶⁵ × 2⁵⁰.
        Picos::new(i128::try_from(units.saturating_mul(self.0.into())).unwrap_or(i128::MAX))
    }

    fn discounted(self, basis_points: u16) -> Self {
        let rest = BASIS_POINTS - u64::from(basis_points);
        // At most 2⁵⁰ × 10⁴.
        Self((self.0 * rest).div_ceil(BASIS_POINTS))
    }
}

impl Tariff {
    /// Whether a unit's price depends on how many were used before.
    pub(crate) fn has_steps(&self) -> bool {
        self.segments.len() > 1
    }

    /// The same price for each unit.
    #[must_use]
    pub fn flat(price: Price) -> Self {
        Self { segments: vec![Step { from: 0, price }], ceiling: price }
    }

    /// What was agreed on.
    ///
    /// # Errors
    /// If steps are not 1 to [`MAX_STEPS`] that ascend from 0, or a discount is more than all.
    pub fn new(terms: &Terms) -> Result<Self, TariffError> {
        let Terms { free_units, steps, committed } = terms;
        if steps.is_empty() || steps.len() > MAX_STEPS {
            return Err(TariffError::NumSteps(steps.len()));
        }
        for (idx, step) in steps.iter().enumerate() {
            let is_above = idx.checked_sub(1).is_none_or(|before| step.from > steps[before].from);
            if !is_above || (idx == 0 && step.from != 0) {
                return Err(TariffError::Steps { idx, from: step.from });
            }
        }
        let committed = committed.unwrap_or(Committed { units: 0, discount_basis_points: 0 });
        if u64::from(committed.discount_basis_points) > BASIS_POINTS {
            return Err(TariffError::Discount(committed.discount_basis_points));
        }
        let discounted_until = free_units.saturating_add(committed.units);
        let mut bounds: Vec<u64> = steps.iter().map(|step| step.from).collect();
        bounds.extend([*free_units, discounted_until]);
        bounds.sort_unstable();
        bounds.dedup();
        let price_at = |from: u64| match steps.partition_point(|step| step.from <= from) {
            _ if from < *free_units => Price::default(),
            next if from < discounted_until => {
                steps[next - 1].price.discounted(committed.discount_basis_points)
            }
            next => steps[next - 1].price,
        };
        let segments =
            bounds.into_iter().map(|from| Step { from, price: price_at(from) }).collect();
        let ceiling = steps.iter().map(|step| step.price).max().unwrap_or_default();
        Ok(Self { segments, ceiling })
    }

    /// What `units` cost after `used` of the period, exactly.
    #[must_use]
    pub fn cost(&self, units: u64, used: u64) -> Picos {
        let (begin, end) = (u128::from(used), u128::from(used) + u128::from(units));
        let ends = self.segments.iter().skip(1).map(|next| u128::from(next.from));
        let mut cost = Picos::ZERO;
        for (segment, until) in self.segments.iter().zip(ends.chain([u128::MAX])) {
            let inside = end.min(until).saturating_sub(begin.max(segment.from.into()));
            cost = cost.saturating_add(segment.price.of(inside));
        }
        cost
    }

    /// The most that a unit costs, whatever was used before: a period may begin anew.
    pub(crate) fn ceiling(&self) -> Price {
        self.ceiling
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(micros: i64) -> Price {
        Price::per_million(Micros::new(micros)).unwrap()
    }

    fn step(from: u64, micros: i64) -> Step {
        Step { from, price: price(micros) }
    }

    #[test]
    fn a_million_tokens_cost_their_price() {
        let flat = Tariff::flat(Price::per_million("2.50".parse().unwrap()).unwrap());
        assert_eq!(flat.cost(1_000_000, 0).round_up(), "2.50".parse().ok());
        assert_eq!(flat.cost(1, 77).get(), 2_500_000);
    }

    #[test]
    fn free_units_steps_and_discounts_meet() {
        let committed = Some(Committed { units: 100, discount_basis_points: 2_500 });
        let steps = vec![step(0, 10), step(50, 7), step(200, 3)];
        let tariff = Tariff::new(&Terms { free_units: 20, steps, committed }).unwrap();
        // 20 free, 30 at 7.5 which is 8, 70 at 5.25 which is 6, 80 at 7, then 3.
        let costs = [(20, 0), (50, 240), (120, 660), (200, 1220), (201, 1223)];
        for (units, cost) in costs {
            assert_eq!(tariff.cost(units, 0).get(), cost, "{units}");
        }
        assert_eq!(tariff.cost(2, 49).get(), 8 + 6);
        assert_eq!(tariff.ceiling(), price(10));
    }

    #[test]
    fn what_does_not_say_a_price_is_refused() {
        assert!(Price::per_million(Micros::new(-1)).is_err());
        assert!(Price::per_million(Micros::new(MAX_MICROS + 1)).is_err());
        let with = |steps: &[Step]| Tariff::new(&Terms { steps: steps.into(), ..Terms::default() });
        assert_eq!(with(&[]), Err(TariffError::NumSteps(0)));
        assert_eq!(with(&[step(1, 1)]), Err(TariffError::Steps { idx: 0, from: 1 }));
        let same = [step(0, 1), step(5, 1), step(5, 2)];
        assert_eq!(with(&same), Err(TariffError::Steps { idx: 2, from: 5 }));
        let many: Vec<Step> = (0..=MAX_STEPS as u64).map(|from| step(from, 1)).collect();
        assert_eq!(with(&many), Err(TariffError::NumSteps(MAX_STEPS + 1)));
        let committed = Some(Committed { units: 1, discount_basis_points: 10_001 });
        let terms = Terms { steps: vec![step(0, 1)], committed, ..Terms::default() };
        assert_eq!(Tariff::new(&terms), Err(TariffError::Discount(10_001)));
    }

    prop_compose! {
        fn terms()(
            free_units in prop_oneof![Just(0), 0..1000u64, Just(u64::MAX)],
            gaps in prop::collection::vec((1..500u64, 0..=MAX_MICROS), 1..6),
            committed in prop::option::of((0..2000u64, 0..=10_000u16)),
        ) -> Terms {
            let mut from = 0;
            let steps = gaps.into_iter().enumerate().map(|(idx, (gap, micros))| {
                from += if idx == 0 { 0 } else { gap };
                step(from, micros)
            });
            let committed = committed.map(|(units, discount_basis_points)| {
                Committed { units, discount_basis_points }
            });
            Terms { free_units, steps: steps.collect(), committed }
        }
    }

    /// The price of one unit, straight from the terms.
    fn unit(terms: &Terms, n: u64) -> i128 {
        if n < terms.free_units {
            return 0;
        }
        let full = terms.steps.iter().rev().find(|step| step.from <= n).unwrap().price.0;
        let committed = terms.committed.filter(|committed| n - terms.free_units < committed.units);
        let rest = 10_000 - i128::from(committed.map_or(0, |it| it.discount_basis_points));
        (i128::from(full) * rest + 9_999) / 10_000
    }

    proptest! {
        #[test]
        fn a_usage_costs_what_its_units_cost(
            terms in terms(), used in 0..2500u64, units in 0..300u64,
        ) {
            let tariff = Tariff::new(&terms).unwrap();
            let expected: i128 = (used..used + units).map(|n| unit(&terms, n)).sum();
            prop_assert_eq!(tariff.cost(units, used).get(), expected);
            prop_assert!(tariff.cost(units, used) <= tariff.ceiling().of(units.into()));
        }

        #[test]
        fn parts_cost_what_the_whole_costs(
            terms in terms(),
            used in 0..3000u64,
            parts in prop::collection::vec(prop_oneof![0..900u64, (0..1u64 << 59)], 0..8),
        ) {
            let tariff = Tariff::new(&terms).unwrap();
            let (mut at, mut sum) = (used, 0);
            for part in &parts {
                sum += tariff.cost(*part, at).get();
                at += part;
            }
            prop_assert_eq!(sum, tariff.cost(at - used, used).get());
        }

        #[test]
        fn more_costs_no_less_and_nothing_panics(
            terms in terms(), used in any::<u64>(), units in any::<u64>(), more in any::<u64>(),
        ) {
            let tariff = Tariff::new(&terms).unwrap();
            let (less, more) = (units.min(more), units.max(more));
            let (less, more) = (tariff.cost(less, used), tariff.cost(more, used));
            prop_assert!(Picos::ZERO <= less && less <= more && more.get() < 1 << 115);
        }
    }
}
