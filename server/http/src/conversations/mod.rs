//! OpenAI's conversations: items that responses read and add to.
//!
//! Invariant: nothing here generates; items have the form that responses give them.

pub(crate) mod items;
pub(crate) mod whole;

use axum::Router;
use axum::routing::{get, post};
use serde_json::Value;
use server_store::Item;

use crate::responses::{checked_items, kept_item};
use crate::{ApiError, AppState};

/// OpenAI's limit.
const MAX_NEW_ITEMS: usize = 20;

/// Their routes.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/v1/conversations", post(whole::create))
        .route(
            "/v1/conversations/{id}",
            get(whole::retrieve).post(whole::update).delete(whole::delete),
        )
        .route("/v1/conversations/{id}/items", get(items::list).post(items::create))
        .route("/v1/conversations/{id}/items/{item_id}", get(items::retrieve).delete(items::delete))
}

/// New items as they are listed, and as they are kept.
fn new_items(items: Vec<Value>) -> Result<(Vec<Value>, Vec<Item>), ApiError> {
    if items.len() > MAX_NEW_ITEMS {
        let message = format!("'items' has {} entries, the limit is {MAX_NEW_ITEMS}.", items.len());
        return Err(ApiError::invalid(Some("items"), message));
    }
    let items = checked_items(items, "items")?;
    if let Some(idx) = items.iter().position(|item| item["type"] == "item_reference") {
        let message = "A conversation holds items, not references to them.";
        return Err(ApiError::unsupported(&format!("items[{idx}].type"), message));
    }
    let kept = items.iter().map(kept_item).collect::<Result<_, _>>()?;
    Ok((items, kept))
}
