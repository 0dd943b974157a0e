//! The shapes of what is asked and answered, with OpenAI's names where OpenAI has it.
//!
//! Invariant: a secret is in the answer that makes it, and in no other.

pub(crate) mod alert;
pub(crate) mod audit;
pub(crate) mod billing;
pub(crate) mod key;
pub(crate) mod limits;
pub(crate) mod line;
pub(crate) mod money;
pub(crate) mod organization;
pub(crate) mod people;
pub(crate) mod project;
pub(crate) mod provision;
pub(crate) mod rate_limit;
pub(crate) mod usage;
pub(crate) mod webhook;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// Something that was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedObject {
    /// What it was, with `.deleted` at its end.
    pub(crate) object: &'static str,
    /// Its id.
    pub(crate) id: String,
    /// Always true.
    pub(crate) deleted: bool,
}

impl DeletedObject {
    pub(crate) fn new(object: &'static str, id: String) -> axum::Json<Self> {
        axum::Json(Self { object, id, deleted: true })
    }
}

/// What was given, null or not, apart from what was not given.
pub(crate) fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}
