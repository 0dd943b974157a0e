//! `/v1/conversations/{id}/items` and `/v1/conversations/{id}/items/{item_id}`.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::Value;
use server_api::{Conversation, ConversationItems, List};
use server_store::Page;

use super::new_items;
use super::whole::conversation;
use crate::json::{ApiJson, FromJson, parse};
use crate::openapi::Refusals;
use crate::storage::{self, Query, read};
use crate::{ApiError, AppState, Caller};

impl FromJson for ConversationItems {
    fn from_json(json: &[u8]) -> Result<Self, ApiError> {
        parse(json)
    }
}

/// Adds items to a conversation.
#[utoipa::path(post, path = "/v1/conversations/{id}/items", tag = "Conversations",
    operation_id = "create_conversation_items", params(("id" = String, Path)),
    request_body = ConversationItems,
    responses((status = 200, description = "The items that were added", body = List), Refusals))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    ApiJson(request, _): ApiJson<ConversationItems>,
) -> Result<Json<List>, ApiError> {
    let store = caller.store(&state)?;
    let (items, kept) = new_items(request.items)?;
    store.add_items(&caller.whose(), &id, &kept).await?;
    Ok(Json(storage::list(Page { rows: items, has_more: false })))
}

/// The items of a conversation.
#[utoipa::path(get, path = "/v1/conversations/{id}/items", tag = "Conversations",
    operation_id = "list_conversation_items",
    params(("id" = String, Path), ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("order" = Option<String>, Query), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of them", body = List), Refusals))]
pub(crate) async fn list(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<List>, ApiError> {
    let page = state.kept()?.items(&caller.whose(), &id, &query.page(true)?).await?;
    let rows = page.rows.iter().map(|item| read(&item.json)).collect::<Result<_, _>>()?;
    Ok(Json(storage::list(Page { rows, has_more: page.has_more })))
}

/// An item of a conversation.
#[utoipa::path(get, path = "/v1/conversations/{id}/items/{item_id}", tag = "Conversations",
    operation_id = "retrieve_conversation_item",
    params(("id" = String, Path), ("item_id" = String, Path)),
    responses((status = 200, description = "It", body = Object), Refusals))]
pub(crate) async fn retrieve(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path((id, item_id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(read(&state.kept()?.item(&caller.whose(), &id, &item_id).await?)?))
}

/// Forgets an item of a conversation.
#[utoipa::path(delete, path = "/v1/conversations/{id}/items/{item_id}", tag = "Conversations",
    operation_id = "delete_conversation_item",
    params(("id" = String, Path), ("item_id" = String, Path)),
    responses((status = 200, description = "The conversation", body = Conversation), Refusals))]
pub(crate) async fn delete(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path((id, item_id)): Path<(String, String)>,
) -> Result<Json<Conversation>, ApiError> {
    let (store, whose) = (state.kept()?, &caller.whose());
    store.delete_item(whose, &id, &item_id).await?;
    Ok(Json(conversation(store.conversation(whose, &id).await?)?))
}
