//! The organization itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Organization {
    /// Always `organization`.
    object: &'static str,
    /// Its id: the tenant.
    id: String,
    /// What people call it.
    name: String,
    /// Unix time in seconds.
    created_at: i64,
    /// Why it may not go on; null while it may.
    suspended: Option<String>,
    /// Whether its members have to log in with two factors.
    requires_two_factors: bool,
    /// What it has set for itself.
    #[schema(value_type = Object)]
    settings: Value,
}

/// What is to be another of an organization; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrganizationPatch {
    /// 1 to 256 bytes without control characters.
    pub(crate) name: Option<String>,
    /// Whether its members have to log in with two factors.
    pub(crate) requires_two_factors: Option<bool>,
    /// In place of all that it has set; 16 KiB at most.
    #[schema(value_type = Option<Object>)]
    pub(crate) settings: Option<Map<String, Value>>,
}

impl From<server_store::Organization> for Organization {
    fn from(it: server_store::Organization) -> Self {
        Self {
            object: "organization",
            id: it.id,
            name: it.name,
            created_at: it.created_at,
            suspended: it.suspended,
            requires_two_factors: it.requires_two_factors,
            // The store takes nothing but objects.
            settings: serde_json::from_str(&it.settings).unwrap_or_default(),
        }
    }
}
