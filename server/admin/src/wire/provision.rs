//! Provisions and commitments.

use serde::{Deserialize, Serialize};
use server_store::{Commitment, Provision};
use utoipa::ToSchema;

use crate::list::Listed;

/// Throughput that is held ready for a project, and billed by the hour.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProvisionObject {
    /// Always `provision`.
    object: &'static str,
    /// `prov_…`
    id: String,
    /// Its project.
    project_id: String,
    /// The model, as its prices name it.
    model: String,
    /// How much of it.
    units: u64,
    /// Its first moment, Unix time in seconds.
    starts_at: i64,
    /// The first moment after it; null if no end is set.
    expires_at: Option<i64>,
    /// Unix time in seconds.
    created_at: i64,
}

/// Throughput to be held ready.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProvisionRequest {
    /// The model, as its prices name it.
    pub(crate) model: String,
    /// How much of it, 1 to 1,000.
    #[schema(minimum = 1, maximum = 1000)]
    pub(crate) units: u64,
    /// From when on, Unix time in seconds; the hour that it is in is billed whole. Without it, now.
    pub(crate) starts_at: Option<i64>,
    /// Until when; the hour that it is in is billed whole. Without it, until it is ended.
    pub(crate) expires_at: Option<i64>,
}

/// What the organization pays at least for each month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommitmentObject {
    /// Always `commitment`.
    object: &'static str,
    /// `commit_…`
    id: String,
    /// For each month of the calendar, in UTC: `1000.00`.
    amount: String,
    /// As ISO 4217 names it, in lower case.
    currency: String,
    /// The first moment of the first month, Unix time in seconds.
    starts_at: i64,
    /// The first moment after the last month; null if no end is set.
    expires_at: Option<i64>,
    /// Unix time in seconds.
    created_at: i64,
}

impl From<Provision> for ProvisionObject {
    fn from(it: Provision) -> Self {
        Self {
            object: "provision",
            id: it.id,
            project_id: it.project,
            model: it.model,
            units: it.units,
            starts_at: it.from.div_euclid(1000),
            expires_at: it.until.map(|until| until.div_euclid(1000)),
            created_at: it.created_at,
        }
    }
}

impl CommitmentObject {
    pub(crate) fn new(it: Commitment, currency: &str) -> Self {
        Self {
            object: "commitment",
            id: it.id,
            amount: it.amount.to_string(),
            currency: currency.to_owned(),
            starts_at: it.from.div_euclid(1000),
            expires_at: it.until.map(|until| until.div_euclid(1000)),
            created_at: it.created_at,
        }
    }
}

impl Listed for ProvisionObject {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for CommitmentObject {
    fn id(&self) -> &str {
        &self.id
    }
}
