//! What an alert tells, in the shape of OpenAI's events of webhooks.

use serde::{Deserialize, Serialize};
use server_accounts::{Currency, Kind, new_id};
use server_store::{AlertOn, ArmedAlert};

const BUDGET_REACHED: &str = "budget.threshold_reached";
const QUOTA_REACHED: &str = "quota.threshold_reached";

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) object: String,
    /// Unix time in seconds.
    pub(super) created_at: i64,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) data: Reached,
}

/// A threshold that was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reached {
    pub(super) alert_id: String,
    pub(super) organization_id: String,
    pub(super) project_id: Option<String>,
    pub(super) key_id: Option<String>,
    /// Of a quota.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) meter: Option<String>,
    pub(super) period: String,
    /// In percent, as the alert has it.
    pub(super) threshold: u32,
    /// What was used, in percent of the limit.
    pub(super) percent: u32,
    /// Money like `12.50`, or units.
    pub(super) used: String,
    pub(super) limit: String,
    /// Of money, as ISO 4217 names it, in lower case. Events of older versions say nothing of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) currency: Option<String>,
}

impl Event {
    /// That `armed` has reached `threshold`: `used` of `limit` are `percent` percent of it.
    pub(super) fn new(
        armed: &ArmedAlert,
        (threshold, percent): (u32, u32),
        (used, limit): (String, String),
        currency: Currency,
        created_at: i64,
    ) -> Self {
        let alert = &armed.alert;
        let (kind, meter, currency) = match alert.rule.on {
            AlertOn::Budget(_) => (BUDGET_REACHED, None, Some(currency.code().to_owned())),
            AlertOn::Quota(meter, _) => (QUOTA_REACHED, Some(meter.to_string()), None),
        };
        let data = Reached {
            alert_id: alert.id.clone(),
            organization_id: alert.organization.clone(),
            project_id: alert.rule.project.clone(),
            key_id: alert.rule.key.clone(),
            meter,
            period: alert.rule.on.period().to_string(),
            threshold,
            percent,
            used,
            limit,
            currency,
        };
        let (id, object) = (new_id(Kind::Event), "event".to_owned());
        Self { id, object, created_at, kind: kind.to_owned(), data }
    }
}

impl Reached {
    /// The account, as people are told of it.
    pub(super) fn account(&self) -> String {
        match (&self.key_id, &self.project_id) {
            (Some(key), _) => format!("key {key}"),
            (None, Some(project)) => format!("project {project}"),
            (None, None) => format!("organization {}", self.organization_id),
        }
    }

    /// What was used and what may be, with units.
    pub(super) fn amounts(&self) -> (String, String) {
        // Money as letters about invoices have it.
        let currency = self.currency.as_ref().map(|currency| currency.to_uppercase());
        let units = self.meter.clone().or(currency).map(|unit| format!(" {unit}"));
        let units = units.unwrap_or_default();
        let period = match self.period.as_str() {
            "total" => "in total".to_owned(),
            period => format!("a {period}"),
        };
        (format!("{}{units}", self.used), format!("{}{units} {period}", self.limit))
    }
}
