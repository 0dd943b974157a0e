//! Models as Anthropic's clients know them.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use crate::ServedModel;

/// One model.
pub(crate) fn describe(model: &ServedModel) -> Value {
    let seconds = i64::try_from(model.created_unix).unwrap_or(i64::MAX);
    let created = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    let created_at = created.to_rfc3339_opts(SecondsFormat::Secs, true);
    json!({"type": "model", "id": model.id, "display_name": model.id, "created_at": created_at})
}

/// All of them on one page, whatever size is asked for: a server has few.
pub(crate) fn page(models: Vec<Value>) -> Value {
    let id = |model: Option<&Value>| model.map(|model| model["id"].clone());
    let (first, last) = (id(models.first()), id(models.last()));
    json!({"data": models, "first_id": first, "last_id": last, "has_more": false})
}
