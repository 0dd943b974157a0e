//! Limits of an organization, a project or a key: rates, quotas and budgets.

use serde::Serialize;
use server_accounts::LimitsData;
use utoipa::ToSchema;

/// What stands on an account; what is not given is not limited.
#[derive(ToSchema)]
#[schema(as = AccountLimits)]
#[allow(dead_code, reason = "only its schema is used; server/accounts reads and writes it")]
pub(crate) struct LimitsSchema {
    /// Requests that begin in a minute.
    requests_per_minute: Option<u64>,
    /// Tokens of prompts in a minute.
    input_tokens_per_minute: Option<u64>,
    /// Tokens generated in a minute.
    output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    concurrent_requests: Option<u64>,
    /// Units in each period.
    quotas: Option<Vec<QuotaSchema>>,
    /// Money in each period.
    budgets: Option<Vec<BudgetSchema>>,
}

/// So many units of a meter.
#[derive(ToSchema)]
#[schema(as = AccountQuota)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct QuotaSchema {
    /// `input_tokens`, `output_tokens`, …
    meter: String,
    /// `day`, `month` or `total`.
    period: String,
    /// How many.
    units: u64,
}

/// So much money.
#[derive(ToSchema)]
#[schema(as = AccountBudget)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct BudgetSchema {
    /// `day`, `month` or `total`.
    period: String,
    /// Like `12.50`, in the server's currency.
    amount: String,
}

/// The limits of an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountLimitsObject {
    /// Always `limits`.
    object: &'static str,
    /// Of which organization, project or key.
    id: String,
    #[serde(flatten)]
    #[schema(value_type = LimitsSchema)]
    limits: LimitsData,
}

impl AccountLimitsObject {
    pub(crate) fn new(id: String, limits: LimitsData) -> axum::Json<Self> {
        axum::Json(Self { object: "limits", id, limits })
    }
}
