//! Price lists as databases and APIs have them.
//!
//! Invariant: what is kept is what `server/metering` can charge by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use server_metering::{
    Committed, Meter, Micros, MoneyError, Price, Prices, Step, Tariff, TariffError, Terms,
    UnknownMeter,
};

use crate::LimitsError;
use crate::limits::parse_period;

/// What a model's tier costs; a meter that it does not name costs nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceListData {
    /// What free units and steps are counted in: `day`, `month` or `total`.
    #[serde(default = "month")]
    pub period: String,
    /// By meter: `input_tokens`, `cached_input_tokens`, `output_tokens`, …
    pub meters: BTreeMap<String, TariffData>,
}

/// What the units of a meter cost: one price, or steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TariffData {
    /// For a million units, like `0.15`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// So many units of each period are free.
    #[serde(skip_serializing_if = "is_zero")]
    pub free_units: u64,
    /// In place of `price`: prices from a unit of the period on, the first from 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepData>,
    /// So many units of each period, after the free ones, are cheaper.
    #[serde(skip_serializing_if = "is_zero")]
    pub committed_units: u64,
    /// By so many hundredths of a percent.
    #[serde(skip_serializing_if = "is_zero")]
    pub committed_discount_basis_points: u16,
}

/// A price from a unit on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepData {
    /// How many units come before.
    pub from: u64,
    /// For a million units.
    pub price: String,
}

/// Why a price list cannot be that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceListError {
    /// There is no such period.
    #[error(transparent)]
    Period(#[from] LimitsError),
    /// There is no such meter.
    #[error(transparent)]
    Meter(#[from] UnknownMeter),
    /// This is no amount.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// This is no tariff.
    #[error("{meter}: {error}")]
    Tariff {
        /// Of which meter.
        meter: Meter,
        /// Why.
        error: TariffError,
    },
    /// Neither a price nor steps, or both.
    #[error("{0}: give a price, or steps, and not both")]
    PriceOrSteps(Meter),
    /// This is not what a price list looks like.
    #[error("this is no price list: {0}")]
    Json(String),
}

impl PriceListData {
    /// Flat prices for a million units each.
    #[must_use]
    pub fn flat<'a>(prices: impl IntoIterator<Item = (Meter, &'a str)>) -> Self {
        let tariff =
            |price: &str| TariffData { price: Some(price.to_owned()), ..TariffData::default() };
        let meters = prices.into_iter().map(|(meter, price)| (meter.to_string(), tariff(price)));
        Self { period: month(), meters: meters.collect() }
    }

    /// Reads what a database has.
    ///
    /// # Errors
    /// If it is no price list.
    pub fn parse(json: &str) -> Result<Self, PriceListError> {
        serde_json::from_str(json).map_err(|error| PriceListError::Json(error.to_string()))
    }

    /// As a database has it.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What is charged by.
    ///
    /// # Errors
    /// If a meter, period, amount or tariff is none.
    pub fn prices(&self) -> Result<Prices, PriceListError> {
        let mut prices = Prices::new(parse_period(&self.period)?);
        for (meter, data) in &self.meters {
            let meter: Meter = meter.parse()?;
            prices = prices.with(meter, data.tariff(meter)?);
        }
        Ok(prices)
    }
}

impl TariffData {
    fn tariff(&self, meter: Meter) -> Result<Tariff, PriceListError> {
        let of_meter = |error| PriceListError::Tariff { meter, error };
        let price = |text: &str| -> Result<Price, PriceListError> {
            Price::per_million(text.parse::<Micros>()?).map_err(of_meter)
        };
        let steps = match (&self.price, &self.steps[..]) {
            (Some(text), []) => vec![Step { from: 0, price: price(text)? }],
            (None, [_, ..]) => {
                let step =
                    |step: &StepData| Ok(Step { from: step.from, price: price(&step.price)? });
                self.steps.iter().map(step).collect::<Result<_, PriceListError>>()?
            }
            _ => return Err(PriceListError::PriceOrSteps(meter)),
        };
        let committed = (self.committed_units > 0).then_some(Committed {
            units: self.committed_units,
            discount_basis_points: self.committed_discount_basis_points,
        });
        let terms = Terms { free_units: self.free_units, steps, committed };
        Tariff::new(&terms).map_err(of_meter)
    }
}

fn month() -> String {
    "month".to_owned()
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

#[cfg(test)]
mod tests {
    use server_metering::Usage;

    use super::*;

    #[test]
    fn a_list_charges_what_its_json_says() {
        let json = r#"{"meters":{"input_tokens":{"price":"0.15","free_units":10},
            "output_tokens":{"steps":[{"from":0,"price":"0.60"},{"from":5,"price":"0.30"}]}}}"#;
        let list = PriceListData::parse(json).unwrap();
        assert_eq!(PriceListData::parse(&list.to_json()).unwrap(), list);
        let usage = Usage::NONE.with(Meter::InputTokens, 12).with(Meter::OutputTokens, 6);
        let cost = list.prices().unwrap().cost(usage, Usage::NONE).get();
        assert_eq!(cost, 2 * 150_000 + 5 * 600_000 + 300_000);
        let flat = PriceListData::flat([(Meter::Images, "2")]).prices().unwrap();
        assert_eq!(flat.cost(Usage::NONE.with(Meter::Images, 1), Usage::NONE).get(), 2_000_000);
    }

    #[test]
    fn what_cannot_be_charged_by_is_refused() {
        for json in [
            r#"{"meters":{"tokens":{"price":"1"}}}"#,
            r#"{"meters":{"images":{"price":"-1"}}}"#,
            r#"{"meters":{"images":{}}}"#,
            r#"{"meters":{"images":{"price":"1","steps":[{"from":0,"price":"1"}]}}}"#,
            r#"{"meters":{"images":{"steps":[{"from":1,"price":"1"}]}}}"#,
            r#"{"period":"year","meters":{}}"#,
            r#"{"meters":{"images":{"price":1}}}"#,
        ] {
            assert!(PriceListData::parse(json).and_then(|list| list.prices()).is_err(), "{json}");
        }
    }
}
