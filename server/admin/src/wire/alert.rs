//! Alerts: whom to tell how much of a limit is used.

use serde::{Deserialize, Serialize};
use server_http::ApiError;
use server_identity::EmailAddress;
use server_metering::{Meter, Period};
use server_store::{Alert, AlertOn, NewAlert};
use utoipa::ToSchema;

use crate::list::Listed;

/// In percent.
const USUAL_THRESHOLDS: [u32; 3] = [50, 80, 100];

/// Who is told when so much of a limit is used.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlertObject {
    /// Always `alert`.
    object: &'static str,
    /// `alert_…`
    id: String,
    /// The project whose limit it is, or that of the key; null if it is the organization's.
    project_id: Option<String>,
    /// The key whose limit it is; else null.
    key_id: Option<String>,
    /// Whose quota it is on, like `output_tokens`; null if it is on the budget.
    meter: Option<String>,
    /// Which budget or quota: `day`, `month` or `total`.
    period: String,
    /// In percent of it, from the lowest.
    thresholds: Vec<u32>,
    /// Whether the organization's webhooks are told.
    by_webhook: bool,
    /// Who is told by mail.
    addresses: Vec<String>,
    /// Unix time in seconds.
    created_at: i64,
}

/// Whom to tell when so much of a limit is used.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertRequest {
    /// The project whose limit it is; without it and a key, it is the organization's.
    project_id: Option<String>,
    /// The key whose limit it is.
    key_id: Option<String>,
    /// Whose quota it is on, like `output_tokens`; without it, it is on the budget.
    meter: Option<String>,
    /// Which budget or quota: `day`, `month` or `total`; without it, `total`.
    period: Option<String>,
    /// In percent of it, 1 to 100, at most 8; without it, 50, 80 and 100.
    thresholds: Option<Vec<u32>>,
    /// Whether to tell the organization's webhooks; without it, where there are no addresses.
    by_webhook: Option<bool>,
    /// Whom to tell by mail, at most 8.
    #[serde(default)]
    addresses: Vec<String>,
}

impl AlertRequest {
    /// What the store is to make; a refusal names the field.
    pub(crate) fn read(self) -> Result<NewAlert, ApiError> {
        let period = match self.period {
            None => Period::Total,
            Some(name) => {
                let found = Period::ALL.into_iter().find(|it| it.to_string() == name);
                let message = "'period' is day, month or total.";
                found.ok_or_else(|| ApiError::invalid(Some("period"), message))?
            }
        };
        let on = match self.meter {
            None => AlertOn::Budget(period),
            Some(name) => {
                let meter = name.parse::<Meter>();
                let invalid = |error| ApiError::invalid(Some("meter"), format!("{error}."));
                AlertOn::Quota(meter.map_err(invalid)?, period)
            }
        };
        for address in &self.addresses {
            let invalid = |error| ApiError::invalid(Some("addresses"), format!("{error}."));
            EmailAddress::parse(address).map_err(invalid)?;
        }
        Ok(NewAlert {
            project: self.project_id,
            key: self.key_id,
            on,
            thresholds: self.thresholds.unwrap_or_else(|| USUAL_THRESHOLDS.to_vec()),
            by_webhook: self.by_webhook.unwrap_or(self.addresses.is_empty()),
            addresses: self.addresses,
        })
    }
}

impl From<Alert> for AlertObject {
    fn from(it: Alert) -> Self {
        let rule = it.rule;
        let meter = match rule.on {
            AlertOn::Budget(_) => None,
            AlertOn::Quota(meter, _) => Some(meter.to_string()),
        };
        Self {
            object: "alert",
            id: it.id,
            project_id: rule.project,
            key_id: rule.key,
            meter,
            period: rule.on.period().to_string(),
            thresholds: rule.thresholds,
            by_webhook: rule.by_webhook,
            addresses: rule.addresses,
            created_at: it.created_at,
        }
    }
}

impl Listed for AlertObject {
    fn id(&self) -> &str {
        &self.id
    }
}
