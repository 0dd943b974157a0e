//! What was used in all, line by line, at which prices, and what something would cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use server_accounts::PriceListData;
use server_metering::{Meter, Quote};
use server_store::{PriceList, UsageTotal};
use utoipa::ToSchema;

use super::money::{exact, total};
use crate::list::Listed;

/// What was used in a time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageSum {
    /// Always `organization.usage`.
    object: &'static str,
    /// Its first second, Unix time.
    start_time: i64,
    /// The first second after it.
    end_time: i64,
    /// How many requests it were.
    requests: u64,
    /// Units of each meter: `input_tokens` (those that were computed), `cached_input_tokens`,
    /// `output_tokens`, …
    #[serde(flatten)]
    #[schema(value_type = BTreeMap<String, u64>)]
    units: BTreeMap<&'static str, u64>,
    /// What it cost, rounded upwards: `12.50`.
    cost: String,
    /// As ISO 4217 names it, in lower case.
    currency: String,
}

/// A price list, and when it holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PriceObject {
    /// Always `price`.
    object: &'static str,
    /// `price_…`
    id: String,
    /// The version of a model.
    model: String,
    /// How it is served: `standard`, `priority`, `flex`, …
    tier: String,
    /// Whether it is this organization's alone.
    is_own: bool,
    /// From when on, Unix time in seconds.
    valid_from: i64,
    /// Until when; null if no end is set.
    valid_until: Option<i64>,
    /// The prices.
    #[schema(value_type = PriceListSchema)]
    prices: PriceListData,
    /// As ISO 4217 names it, in lower case.
    currency: String,
}

/// What a model's tier costs; a meter that it does not name costs nothing.
#[derive(ToSchema)]
#[schema(as = PriceListPrices)]
#[allow(dead_code, reason = "only its schema is used; server/accounts reads and writes it")]
pub(crate) struct PriceListSchema {
    /// What free units and steps are counted in: `day`, `month` or `total`.
    period: String,
    /// By meter: `input_tokens`, `cached_input_tokens`, `output_tokens`, …
    meters: BTreeMap<String, TariffSchema>,
}

/// What the units of a meter cost: one price, or steps.
#[derive(ToSchema)]
#[schema(as = PriceListTariff)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct TariffSchema {
    /// For a million units, like `0.15`.
    price: Option<String>,
    /// So many units of each period are free.
    free_units: Option<u64>,
    /// In place of `price`: prices from a unit of the period on.
    #[schema(value_type = Option<Vec<Object>>)]
    steps: Option<()>,
    /// So many units of each period, after the free ones, are cheaper.
    committed_units: Option<u64>,
    /// By so many hundredths of a percent.
    committed_discount_basis_points: Option<u16>,
}

/// What something would cost.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EstimateRequest {
    /// The version of a model, as prices name it.
    pub(crate) model: String,
    /// How it would be served; `standard`, without it.
    pub(crate) tier: Option<String>,
    /// Units by meter, at most 10¹⁵: `input_tokens`, `cached_input_tokens`, `output_tokens`, …
    pub(crate) usage: BTreeMap<String, u64>,
}

/// What it would cost now, after what the organization used in this period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Estimate {
    /// Always `cost_estimate`.
    object: &'static str,
    /// The version of a model.
    model: String,
    /// How it would be served.
    tier: String,
    /// Each meter that costs something.
    lines: Vec<EstimateLine>,
    /// All of them, rounded upwards: `12.50`.
    total: String,
    /// As ISO 4217 names it, in lower case.
    currency: String,
}

/// What the units of a meter would cost.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EstimateLine {
    /// The meter.
    meter: &'static str,
    /// Its units.
    units: u64,
    /// What they cost, exactly.
    cost: String,
}

impl UsageSum {
    pub(crate) fn new(
        (start_time, end_time): (i64, i64),
        used: &UsageTotal,
        currency: &str,
    ) -> Self {
        let units = Meter::ALL.map(|meter| (meter.name(), used.usage.get(meter)));
        Self {
            object: "organization.usage",
            start_time,
            end_time,
            requests: used.num_requests,
            units: units.into(),
            cost: total(used.cost),
            currency: currency.to_owned(),
        }
    }
}

impl PriceObject {
    pub(crate) fn new(price: PriceList, currency: &str) -> Self {
        Self {
            object: "price",
            id: price.id,
            model: price.model,
            tier: price.tier,
            is_own: price.organization.is_some(),
            valid_from: price.valid_from.div_euclid(1000),
            valid_until: price.valid_until.map(|until| until.div_euclid(1000)),
            prices: price.list,
            currency: currency.to_owned(),
        }
    }
}

impl Estimate {
    pub(crate) fn new((model, tier): (String, String), quote: &Quote, currency: &str) -> Self {
        let line = |(meter, units, cost): &(Meter, u64, _)| EstimateLine {
            meter: meter.name(),
            units: *units,
            cost: exact(*cost),
        };
        Self {
            object: "cost_estimate",
            model,
            tier,
            lines: quote.lines.iter().map(line).collect(),
            total: quote.total.to_string(),
            currency: currency.to_owned(),
        }
    }
}

impl Listed for PriceObject {
    fn id(&self) -> &str {
        &self.id
    }
}
