//! Prices of models, by their tiers and over time.
//!
//! Invariant: at any moment a model's tier has one price list or none. A request is charged by the
//! list of when it was opened.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::{Meter, Micros, ModelId, Period, Picos, Price, Tariff, Tier, UnixMillis, Usage};

/// The most lists of a model's tier over time.
const MAX_LISTS: usize = 1_000;

/// The price list of a model's tier; a meter that it does not name costs nothing.
///
/// Where cached input has no tariff of its own, it is counted and charged as input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    period: Period,
    tariffs: [Option<Tariff>; Meter::ALL.len()],
}

/// From when on a list holds, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: UnixMillis,
    /// The first moment after it, if there is one.
    pub until: Option<UnixMillis>,
}

/// Price lists by model, tier and time.
#[derive(Clone, Debug, Default)]
pub struct PriceBook {
    models: HashMap<ModelId, HashMap<Tier, Vec<Listed>>>,
}

#[derive(Clone, Debug)]
struct Listed {
    valid: Range<UnixMillis>,
    prices: Arc<Prices>,
}

/// Why there is no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// A list would hold for no time.
    #[error("prices of {model} ({tier}) end before they begin: let `until` be after `from`")]
    Never {
        /// The model.
        model: ModelId,
        /// Its tier.
        tier: Tier,
    },
    /// Two lists would hold at once.
    #[error("{model} ({tier}) has other prices in that time: let them end before these begin")]
    Overlap {
        /// The model.
        model: ModelId,
        /// Its tier.
        tier: Tier,
    },
    /// There are too many lists.
    #[error("{model} ({tier}) has {MAX_LISTS} price lists over time: remove old ones")]
    TooMany {
        /// The model.
        model: ModelId,
        /// Its tier.
        tier: Tier,
    },
    /// No list holds at that time.
    #[error("{model} has no price in the tier {tier}: add one to the price list")]
    NotPriced {
        /// The model.
        model: ModelId,
        /// The tier that was asked for.
        tier: Tier,
    },
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

    /// The most that a usage can cost, whatever was used before and is settled until then.
    pub(crate) fn ceiling(&self, usage: Usage) -> Picos {
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

impl Validity {
    /// Always.
    pub const ALWAYS: Self = Self { from: UnixMillis(0), until: None };
}

impl PriceBook {
    /// Adds a list.
    ///
    /// # Errors
    /// If it holds for no time, or while another one of the same model and tier does.
    pub fn add(
        &mut self,
        model: &ModelId,
        tier: &Tier,
        valid: Validity,
        prices: Prices,
    ) -> Result<(), PriceError> {
        let names = || (model.clone(), tier.clone());
        let valid = valid.from..valid.until.unwrap_or(UnixMillis(u64::MAX));
        if valid.is_empty() {
            let (model, tier) = names();
            return Err(PriceError::Never { model, tier });
        }
        let lists = self.models.entry(model.clone()).or_default().entry(tier.clone()).or_default();
        let place = lists.partition_point(|listed| listed.valid.start < valid.start);
        let ends_late = place.checked_sub(1).is_some_and(|idx| lists[idx].valid.end > valid.start);
        if ends_late || lists.get(place).is_some_and(|next| next.valid.start < valid.end) {
            let (model, tier) = names();
            return Err(PriceError::Overlap { model, tier });
        }
        if lists.len() >= MAX_LISTS {
            let (model, tier) = names();
            return Err(PriceError::TooMany { model, tier });
        }
        lists.insert(place, Listed { valid, prices: Arc::new(prices) });
        Ok(())
    }

    /// The list that holds at a moment.
    #[must_use]
    pub fn prices(&self, model: &ModelId, tier: &Tier, at: UnixMillis) -> Option<&Arc<Prices>> {
        let lists = self.models.get(model)?.get(tier)?;
        let listed = &lists[lists.partition_point(|it| it.valid.start <= at).checked_sub(1)?];
        (at < listed.valid.end).then_some(&listed.prices)
    }

    /// What a usage would cost at a moment, after what was `used` of the list's period.
    ///
    /// # Errors
    /// If the model has no price in this tier at that moment.
    pub fn quote(
        &self,
        (model, tier): (&ModelId, &Tier),
        usage: Usage,
        at: UnixMillis,
        used: Usage,
    ) -> Result<Quote, PriceError> {
        let prices = self
            .prices(model, tier, at)
            .ok_or_else(|| PriceError::NotPriced { model: model.clone(), tier: tier.clone() })?;
        let lines: Vec<_> = prices.lines(usage, used).collect();
        let exact = prices.cost(usage, used);
        Ok(Quote { lines, exact, total: exact.told() })
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

    fn names() -> (ModelId, Tier) {
        (ModelId::new("m@1").unwrap(), Tier::new("standard").unwrap())
    }

    #[test]
    fn a_list_holds_in_its_time_and_no_two_at_once() {
        let (model, tier) = names();
        let mut book = PriceBook::default();
        let time = |from, until: Option<u64>| Validity {
            from: UnixMillis(from),
            until: until.map(UnixMillis),
        };
        book.add(&model, &tier, time(20, None), list(2)).unwrap();
        book.add(&model, &tier, time(10, Some(20)), list(1)).unwrap();
        for (from, until) in [(5, Some(11)), (19, Some(20)), (15, None), (25, Some(26)), (0, None)]
        {
            let added = book.add(&model, &tier, time(from, until), list(9));
            assert!(matches!(added, Err(PriceError::Overlap { .. })), "{from} {until:?}");
        }
        let added = book.add(&model, &tier, time(5, Some(5)), list(9));
        assert!(matches!(added, Err(PriceError::Never { .. })));
        let usage = Usage::NONE.with(Meter::InputTokens, 1);
        let quote = |at| book.quote((&model, &tier), usage, UnixMillis(at), Usage::NONE);
        let cost = |at| quote(at).map(|quote| quote.exact.get()).ok();
        assert_eq!([9, 10, 19, 20, 99].map(cost), [None, Some(1), Some(1), Some(2), Some(2)]);
        assert_eq!(quote(10).unwrap().total, Micros::new(1));
        assert!(quote(9).unwrap_err().to_string().contains("no price in the tier standard"));
        let batch = Tier::new("batch").unwrap();
        assert!(book.prices(&model, &batch, UnixMillis(10)).is_none());
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
