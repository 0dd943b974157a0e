//! Price lists of models, by their tiers and over time.
//!
//! Invariant: at any moment a model's tier has one price list or none. A request is charged by the
//! list of when it was opened.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::{ModelId, Prices, Quote, Tier, UnixMillis, Usage};

/// The most lists of a model's tier over time.
const MAX_LISTS: usize = 1_000;

/// From when on a list holds, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: UnixMillis,
    /// The first moment after it, if there is one.
    pub until: Option<UnixMillis>,
}

/// Price lists by model, tier and time.
///
/// A list is of a version of a model, `name@version`, or of all versions of its name. What is asked
/// for is looked up by its tier first and then by the tier `standard`, in either by the version
/// first and then by the name.
#[derive(Clone, Debug, Default)]
pub struct PriceBook {
    models: HashMap<ModelId, HashMap<Tier, Vec<Listed>>>,
}

#[derive(Clone, Debug)]
struct Listed {
    valid: Range<UnixMillis>,
    priced: Arc<Priced>,
}

/// A list that was found, and what it is listed by: what was asked for, or what that fell back to.
#[derive(Debug)]
pub struct Priced {
    /// A model's version, or its name.
    pub model: ModelId,
    /// Its tier.
    pub tier: Tier,
    /// The list.
    pub prices: Prices,
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
        let (model, tier) = names();
        lists.insert(place, Listed { valid, priced: Arc::new(Priced { model, tier, prices }) });
        Ok(())
    }

    /// The list that holds at a moment for a model's version in a tier, or what stands in for it.
    #[must_use]
    pub fn find(&self, model: &ModelId, tier: &Tier, at: UnixMillis) -> Option<Arc<Priced>> {
        let name = model.as_str().rsplit_once('@').map(|(name, _)| name);
        let tiers = [tier.as_str(), Tier::STANDARD];
        tiers.into_iter().find_map(|tier| {
            let models = [Some(model.as_str()), name].into_iter().flatten();
            models.into_iter().find_map(|model| self.listed(model, tier, at))
        })
    }

    fn listed(&self, model: &str, tier: &str, at: UnixMillis) -> Option<Arc<Priced>> {
        let lists = self.models.get(model)?.get(tier)?;
        let listed = &lists[lists.partition_point(|it| it.valid.start <= at).checked_sub(1)?];
        (at < listed.valid.end).then(|| Arc::clone(&listed.priced))
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
        let priced = self
            .find(model, tier, at)
            .ok_or_else(|| PriceError::NotPriced { model: model.clone(), tier: tier.clone() })?;
        Ok(priced.prices.quote(usage, used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Meter, Micros, Period, Price, Tariff};

    fn list(micros: i64) -> Prices {
        let price = Price::per_million(Micros::new(micros)).unwrap();
        Prices::new(Period::Month).with(Meter::InputTokens, Tariff::flat(price))
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
    }

    #[test]
    fn the_list_that_is_nearest_to_what_is_asked_for_holds() {
        let id = |model| ModelId::new(model).unwrap();
        let (name, one, two) = (id("m:a"), id("m:a@1"), id("m:a@2"));
        let [standard, flex] = ["standard", "flex"].map(|tier| Tier::new(tier).unwrap());
        let mut book = PriceBook::default();
        let found = |book: &PriceBook, model: &ModelId, tier: &Tier| {
            let priced = book.find(model, tier, UnixMillis(1))?;
            Some(format!("{} {}", priced.model, priced.tier))
        };
        let all = |book: &PriceBook| {
            let asked = [(&one, &standard), (&one, &flex), (&two, &standard), (&two, &flex)];
            asked.map(|(model, tier)| found(book, model, tier).unwrap_or_default())
        };
        assert_eq!(all(&book), [""; 4]);
        let add = |book: &mut PriceBook, model, tier| {
            book.add(model, tier, Validity::ALWAYS, list(1)).unwrap();
        };
        add(&mut book, &name, &standard);
        assert_eq!(all(&book), ["m:a standard"; 4]);
        add(&mut book, &one, &standard);
        let own = "m:a@1 standard";
        assert_eq!(all(&book), [own, own, "m:a standard", "m:a standard"]);
        add(&mut book, &name, &flex);
        assert_eq!(all(&book), [own, "m:a flex", "m:a standard", "m:a flex"]);
        add(&mut book, &one, &flex);
        assert_eq!(all(&book), [own, "m:a@1 flex", "m:a standard", "m:a flex"]);
        // A base stands for none of its adapters.
        assert_eq!(found(&book, &id("m"), &standard), None);
        assert_eq!(found(&book, &id("m:b@1"), &standard), None);
    }
}
