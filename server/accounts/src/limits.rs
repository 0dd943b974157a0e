//! Limits as databases and APIs have them.
//!
//! Invariant: what is kept is what `server/metering` can keep to: it was checked on its way in.

use serde::{Deserialize, Serialize};
use server_metering::{Budget, Limits, Meter, Micros, MoneyError, Period, Quota, UnknownMeter};

/// The most quotas, and the most budgets, of an account.
const MAX_EACH: usize = 16;

/// What may stand on an organization, a project or a key; nothing, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsData {
    /// Requests that begin in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens of prompts in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens generated in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_requests: Option<u64>,
    /// Units in each period.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<QuotaData>,
    /// Money in each period.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetData>,
}

/// So many units of a meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaData {
    /// `input_tokens`, `output_tokens`, …
    pub meter: String,
    /// `day`, `month` or `total`.
    pub period: String,
    /// How many.
    pub units: u64,
}

/// So much money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetData {
    /// `day`, `month` or `total`.
    pub period: String,
    /// Like `12.50`, in the server's currency.
    pub amount: String,
}

/// Why limits cannot be those.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// There is no such period.
    #[error("'{0}' is no period: it is day, month or total")]
    Period(String),
    /// There is no such meter.
    #[error(transparent)]
    Meter(#[from] UnknownMeter),
    /// This is no amount.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// Less than nothing.
    #[error("a budget of {0} is less than nothing")]
    Negative(Micros),
    /// Too many.
    #[error("an account has at most {MAX_EACH} {0}")]
    TooMany(&'static str),
    /// Two of one kind.
    #[error("there are two {0}: the smaller one would always be it")]
    Twice(String),
    /// This is not what limits look like.
    #[error("these are no limits: {0}")]
    Json(String),
}

impl LimitsData {
    /// Reads what a database has.
    ///
    /// # Errors
    /// If these are no limits.
    pub fn parse(json: &str) -> Result<Self, LimitsError> {
        serde_json::from_str(json).map_err(|error| LimitsError::Json(error.to_string()))
    }

    /// As a database has it.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What keeps to them.
    ///
    /// # Errors
    /// If a meter, a period or an amount is none, or there are too many.
    pub fn limits(&self) -> Result<Limits, LimitsError> {
        for (what, num) in [("quotas", self.quotas.len()), ("budgets", self.budgets.len())] {
            if num > MAX_EACH {
                return Err(LimitsError::TooMany(what));
            }
        }
        let mut limits = Limits {
            requests_per_minute: self.requests_per_minute,
            input_tokens_per_minute: self.input_tokens_per_minute,
            output_tokens_per_minute: self.output_tokens_per_minute,
            concurrent_requests: self.concurrent_requests,
            ..Limits::default()
        };
        for QuotaData { meter, period, units } in &self.quotas {
            let (meter, period): (Meter, _) = (meter.parse()?, parse_period(period)?);
            let is_same = |other: &Quota| other.meter == meter && other.period == period;
            if limits.quotas.iter().any(is_same) {
                return Err(LimitsError::Twice(format!("quotas of {meter} ({period})")));
            }
            limits.quotas.push(Quota { meter, period, units: *units });
        }
        for BudgetData { period, amount } in &self.budgets {
            let (period, amount) = (parse_period(period)?, amount.parse::<Micros>()?);
            if amount < Micros::ZERO {
                return Err(LimitsError::Negative(amount));
            }
            if limits.budgets.iter().any(|other| other.period == period) {
                return Err(LimitsError::Twice(format!("budgets ({period})")));
            }
            limits.budgets.push(Budget { period, amount });
        }
        Ok(limits)
    }
}

/// `day`, `month` or `total`.
pub(crate) fn parse_period(name: &str) -> Result<Period, LimitsError> {
    match name {
        "day" => Ok(Period::Day),
        "month" => Ok(Period::Month),
        "total" => Ok(Period::Total),
        _ => Err(LimitsError::Period(name.chars().take(40).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_what_their_json_says() {
        let json = r#"{"requests_per_minute":60,"quotas":[{"meter":"output_tokens",
            "period":"day","units":5}],"budgets":[{"period":"month","amount":"12.50"}]}"#;
        let data = LimitsData::parse(json).unwrap();
        assert_eq!(LimitsData::parse(&data.to_json()).unwrap(), data);
        let limits = data.limits().unwrap();
        assert_eq!(limits.requests_per_minute, Some(60));
        assert_eq!(
            limits.budgets,
            [Budget { period: Period::Month, amount: Micros::new(12_500_000) }]
        );
        assert_eq!(limits.quotas[0].units, 5);
        assert_eq!(LimitsData::parse("{}").unwrap().limits().unwrap(), Limits::default());
    }

    #[test]
    fn what_cannot_be_kept_to_is_refused() {
        for json in [
            r#"{"budgets":[{"period":"week","amount":"1"}]}"#,
            r#"{"budgets":[{"period":"day","amount":"-1"}]}"#,
            r#"{"budgets":[{"period":"day","amount":"1e3"}]}"#,
            r#"{"budgets":[{"period":"day","amount":"1"},{"period":"day","amount":"2"}]}"#,
            r#"{"quotas":[{"meter":"tokens","period":"day","units":1}]}"#,
            r#"{"rpm":5}"#,
            r#"{"requests_per_minute":-1}"#,
        ] {
            let limits = LimitsData::parse(json).and_then(|data| data.limits());
            assert!(limits.is_err(), "{json}");
        }
    }
}
