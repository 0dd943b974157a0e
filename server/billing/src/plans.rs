//! Plans: what is sold, as data.
//!
//! Invariant: the first plan costs nothing and has no prices, it is what an organization without a
//! subscription has; no price is in two plans.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use server_metering::Micros;

use crate::ids::PriceId;

/// The most plans.
const MAX_PLANS: usize = 64;
/// The most prices and features of one.
const MAX_PARTS: usize = 32;
/// The longest name.
const MAX_NAME_BYTES: usize = 128;

/// All plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Plans {
    #[serde(rename = "plan")]
    plans: Vec<Plan>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    #[serde(rename = "plan")]
    plans: Vec<Plan>,
}

/// What is sold under one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What it is called in requests.
    pub id: String,
    /// What it is called on pages.
    pub name: String,
    /// What pages say that it costs a month; Stripe charges what its prices say.
    #[serde(with = "amount")]
    pub monthly_fee: Micros,
    /// Its prices at Stripe. Without any it cannot be bought.
    #[serde(default)]
    pub prices: Vec<PlanPrice>,
    /// What may be used.
    #[serde(default)]
    pub limits: PlanLimits,
    /// What else it gives, by names that others know.
    #[serde(default)]
    pub features: Vec<String>,
}

/// A price of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanPrice {
    /// Its name at Stripe.
    pub id: PriceId,
    /// Whether it is for what a meter counts, and not a fee.
    #[serde(default)]
    pub is_metered: bool,
    /// Whether it is no longer sold; who has it keeps the plan.
    #[serde(default)]
    pub is_retired: bool,
}

/// What a plan lets an organization use; what is not said does not bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanLimits {
    /// Requests a minute.
    #[serde(default)]
    pub requests_per_minute: Option<u64>,
    /// Tokens of prompts in a minute.
    #[serde(default)]
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens generated in a minute.
    #[serde(default)]
    pub output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    #[serde(default)]
    pub concurrent_requests: Option<u64>,
    /// Money a month.
    #[serde(default, with = "maybe_amount")]
    pub monthly_budget: Option<Micros>,
}

/// Plans cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlansError {
    /// They are no TOML, or fields are missing or wrong.
    #[error("the plans cannot be read: {0}")]
    Text(String),
    /// There are none, or too many.
    #[error("there are {0} plans: give 1 to {MAX_PLANS}")]
    Number(usize),
    /// The first one is not free.
    #[error("the first plan, '{0}', has a price or a fee: it is what nobody pays for")]
    FirstIsNotFree(String),
    /// One has a name that is empty or too long, or too many prices or features.
    #[error(
        "plan '{0}' has an empty name, one over {MAX_NAME_BYTES} bytes, or more than {MAX_PARTS} \
         prices or features"
    )]
    TooLarge(String),
    /// Two have the same name, or the same price.
    #[error("'{0}' is in two plans: give each its own")]
    Twice(String),
}

impl Plans {
    /// Free, Pro and Enterprise, without prices.
    ///
    /// # Errors
    /// None: a test reads the same text.
    pub fn standard() -> Result<Self, PlansError> {
        Self::from_toml(include_str!("plans.toml"))
    }

    /// Plans from a file's text.
    ///
    /// # Errors
    /// If it is no TOML, or breaks a rule of this module.
    pub fn from_toml(text: &str) -> Result<Self, PlansError> {
        let unchecked: Unchecked =
            toml::from_str(text).map_err(|e| PlansError::Text(e.to_string()))?;
        Self::try_from(unchecked)
    }

    /// Plans that were read elsewhere.
    ///
    /// # Errors
    /// If they break a rule of this module.
    pub fn new(plans: Vec<Plan>) -> Result<Self, PlansError> {
        Self::try_from(Unchecked { plans })
    }

    /// All, in their order.
    #[must_use]
    pub fn all(&self) -> &[Plan] {
        &self.plans
    }

    /// What an organization without a subscription has.
    #[must_use]
    pub fn free(&self) -> &Plan {
        &self.plans[0]
    }

    /// The one of that id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.id == id)
    }

    /// The one that has any of these prices; the last, where several have.
    #[must_use]
    pub fn of_prices(&self, prices: &[PriceId]) -> Option<&Plan> {
        let has = |plan: &&Plan| plan.prices.iter().any(|price| prices.contains(&price.id));
        self.plans.iter().rev().find(has)
    }
}

impl Plan {
    /// The prices that are sold now.
    #[must_use]
    pub fn sold(&self) -> Vec<&PlanPrice> {
        self.prices.iter().filter(|price| !price.is_retired).collect()
    }
}

impl TryFrom<Unchecked> for Plans {
    type Error = PlansError;

    fn try_from(Unchecked { plans }: Unchecked) -> Result<Self, PlansError> {
        if !(1..=MAX_PLANS).contains(&plans.len()) {
            return Err(PlansError::Number(plans.len()));
        }
        let free = &plans[0];
        if !free.prices.is_empty() || free.monthly_fee != Micros::ZERO {
            return Err(PlansError::FirstIsNotFree(free.id.clone()));
        }
        let mut seen = HashSet::new();
        for plan in &plans {
            let fits = |name: &String| (1..=MAX_NAME_BYTES).contains(&name.len());
            let names = [&plan.id, &plan.name];
            let parts = [plan.prices.len(), plan.features.len()];
            if !names.into_iter().chain(&plan.features).all(fits)
                || parts.iter().any(|&num| num > MAX_PARTS)
            {
                return Err(PlansError::TooLarge(plan.id.chars().take(40).collect()));
            }
            let prices = plan.prices.iter().map(|price| format!("price {}", price.id));
            for name in prices.chain([format!("plan {}", plan.id)]) {
                if !seen.insert(name.clone()) {
                    return Err(PlansError::Twice(name));
                }
            }
        }
        Ok(Self { plans })
    }
}

/// Amounts as texts: `"12.50"`.
mod amount {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use server_metering::Micros;

    pub(super) fn serialize<S: Serializer>(amount: &Micros, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(amount)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Micros, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// The same, where there may be none.
mod maybe_amount {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use server_metering::Micros;

    pub(super) fn serialize<S: Serializer>(
        amount: &Option<Micros>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match amount {
            Some(amount) => to.collect_str(amount),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Micros>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_plans_are_free_pro_and_enterprise() {
        let plans = Plans::standard().unwrap();
        let ids: Vec<&str> = plans.all().iter().map(|plan| plan.id.as_str()).collect();
        assert_eq!(ids, ["free", "pro", "enterprise"]);
        assert_eq!(plans.free().limits.monthly_budget, Some(Micros::new(5_000_000)));
        assert!(plans.get("enterprise").unwrap().limits == PlanLimits::default());
        let json = serde_json::to_string(&plans).unwrap();
        assert_eq!(serde_json::from_str::<Plans>(&json).unwrap(), plans);
    }

    #[test]
    fn a_retired_price_keeps_its_plan_and_is_not_sold() {
        let plans = Plans::from_toml(
            "[[plan]]\nid='free'\nname='Free'\nmonthly_fee='0'\n[[plan]]\nid='pro'\nname='Pro'\n\
             monthly_fee='20'\nprices=[{id='price_old',is_retired=true},{id='price_new'},\
             {id='price_use',is_metered=true}]",
        )
        .unwrap();
        let price = |id| PriceId::new(id).unwrap();
        assert_eq!(plans.of_prices(&[price("price_old")]).unwrap().id, "pro");
        assert_eq!(plans.of_prices(&[price("price_other")]), None);
        let sold: Vec<_> = plans.get("pro").unwrap().sold().into_iter().map(|p| &p.id).collect();
        assert_eq!(sold, [&price("price_new"), &price("price_use")]);
    }

    #[test]
    fn plans_that_break_a_rule_are_refused() {
        let read = |text: &str| Plans::from_toml(text).unwrap_err();
        let free = "[[plan]]\nid='free'\nname='Free'\nmonthly_fee='0'\n";
        assert_eq!(read("plan=[]"), PlansError::Number(0));
        assert!(matches!(read(&free.replace("'0'", "'1'")), PlansError::FirstIsNotFree(_)));
        assert!(matches!(read(&format!("{free}{free}")), PlansError::Twice(_)));
        assert!(matches!(read(&free.replace("'Free'", "''")), PlansError::TooLarge(_)));
        for wrong in
            ["x", "[[plan]]\nid='a'", &format!("{free}color='red'"), &free.replace('0', "x")]
        {
            assert!(matches!(read(wrong), PlansError::Text(_)), "{wrong}");
        }
    }
}
