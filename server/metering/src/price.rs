//! What all meters of a price list cost together.
//!
//! Invariant: no usage costs more than its ceiling.

use crate::{Meter, Micros, Period, Picos, Price, Tariff, Usage};

/// The price list of a model's tier; a meter that it does not name costs nothing.
///
/// Where cached input has no tariff of its own, it is counted and charged as input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    period: Period,
    tariffs: [Option<Tariff>; Meter::ALL.len()],
}

/// What a usage would cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Each meter that costs something, with its units and what they cost, exactly.
    pub lines: Vec<(Meter, u64, Picos)>,
    /// All of them, exactly.
    pub exact: Picos,
    /// What is told: rounded upwards.
    pub total: Micros,
}

impl Prices {
    /// An empty list, whose free units and steps are counted anew in each period.
    #[must_use]
    pub fn new(period: Period) -> Self {
        Self { period, tariffs: [const { None }; Meter::ALL.len()] }
    }

    /// The same with a tariff for a meter.
    #[must_use]
    pub fn with(mut self, meter: Meter, tariff: Tariff) -> Self {
        self.tariffs[meter.place()] = Some(tariff);
        self
    }

    /// Whether what a usage costs depends on what was used before.
    #[must_use]
    pub fn has_steps(&self) -> bool {
        self.tariffs.iter().flatten().any(Tariff::has_steps)
    }

    /// What its free units and steps are counted in.
    #[must_use]
    pub fn period(&self) -> Period {
        self.period
    }

    /// What a usage costs after what was `used` of the period, exactly.
    #[must_use]
    pub fn cost(&self, usage: Usage, used: Usage) -> Picos {
        self.lines(usage, used).map(|(_, _, cost)| cost).fold(Picos::ZERO, Picos::saturating_add)
    }

    /// The most that a usage can cost, whatever was used before and is settled until then; without
    /// steps, what it costs.
    #[must_use]
    pub fn ceiling(&self, usage: Usage) -> Picos {
        let most = self.folded(usage).counts().filter_map(|(meter, units)| {
            let tariff = self.tariffs[meter.place()].as_ref()?;
            Some(tariff.ceiling().of(units.into()))
        });
        most.fold(Picos::ZERO, Picos::saturating_add)
    }

    /// The most that a token of output can cost.
    pub(crate) fn output_ceiling(&self) -> Price {
        let tariff = self.tariffs[Meter::OutputTokens.place()].as_ref();
        tariff.map(Tariff::ceiling).unwrap_or_default()
    }

    /// What a usage would cost after what was `used` of the period.
    pub(crate) fn quote(&self, usage: Usage, used: Usage) -> Quote {
        let lines: Vec<_> = self.lines(usage, used).collect();
        let exact = self.cost(usage, used);
        Quote { lines, exact, total: exact.told() }
    }

    fn lines(&self, usage: Usage, used: Usage) -> impl Iterator<Item = (Meter, u64, Picos)> {
        let used = self.folded(used);
        self.folded(usage).counts().filter_map(move |(meter, units)| {
            let tariff = self.tariffs[meter.place()].as_ref()?;
            Some((meter, units, tariff.cost(units, used.get(meter))))
        })
    }

    /// Cached input as input, where it has no price of its own.
    fn folded(&self, usage: Usage) -> Usage {
        if self.tariffs[Meter::CachedInputTokens.place()].is_some() {
            return usage;
        }
        let cached = usage.get(Meter::CachedInputTokens);
        let input = usage.get(Meter::InputTokens).saturating_add(cached);
        usage.with(Meter::InputTokens, input).with(Meter::CachedInputTokens, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Terms;

    fn flat(micros: i64) -> Tariff {
        Tariff::flat(Price::per_million(Micros::new(micros)).unwrap())
    }

    fn list(micros: i64) -> Prices {
        Prices::new(Period::Month).with(Meter::InputTokens, flat(micros))
    }

    #[test]
    fn cached_input_has_its_own_price_or_that_of_input() {
        let usage = Usage::NONE.with(Meter::InputTokens, 2).with(Meter::CachedInputTokens, 3);
        let own = list(10).with(Meter::CachedInputTokens, flat(1));
        assert_eq!(own.cost(usage, Usage::NONE).get(), 23);
        assert_eq!(list(10).cost(usage, Usage::NONE).get(), 50);
        assert_eq!(list(10).ceiling(usage).get(), 50);
        // Both count towards the free units of one tariff.
        let steps = vec![crate::Step { from: 0, price: flat(10).ceiling() }];
        let terms = Terms { free_units: 4, steps, committed: None };
        let free =
            Prices::new(Period::Month).with(Meter::InputTokens, Tariff::new(&terms).unwrap());
        assert_eq!(free.cost(usage, Usage::NONE).get(), 10);
        let one_cached = Usage::NONE.with(Meter::CachedInputTokens, 1);
        assert_eq!(free.cost(one_cached, usage).get(), 10);
    }

    #[test]
    fn the_largest_usage_of_all_meters_at_the_largest_price_fits() {
        let prices = Meter::ALL.into_iter().fold(Prices::new(Period::Total), |prices, meter| {
            prices.with(meter, flat(1_000_000_000_000_000))
        });
        let usage =
            Meter::ALL.into_iter().fold(Usage::NONE, |all, meter| all.with(meter, u64::MAX));
        let expected = 9 * i128::from(u64::MAX) * 1_000_000_000_000_000;
        assert_eq!(prices.cost(usage, usage).get(), expected);
        assert_eq!(prices.ceiling(usage).get(), expected);
    }
}
