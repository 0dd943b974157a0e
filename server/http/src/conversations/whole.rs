//! `/v1/conversations` and `/v1/conversations/{id}`.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use server_api::{Conversation, ConversationRequest, Deleted, Metadata, MetadataUpdate};

use super::new_items;
use crate::json::{ApiJson, FromJson, parse};
use crate::openapi::Refusals;
use crate::storage::{check_metadata, read, to_json, unix_time};
use crate::wire::new_id;
use crate::{ApiError, AppState, Caller};

impl FromJson for ConversationRequest {
    fn from_json(json: &[u8]) -> Result<Self, ApiError> {
        parse(json)
    }
}

impl FromJson for MetadataUpdate {
    fn from_json(json: &[u8]) -> Result<Self, ApiError> {
        parse(json)
    }
}

/// A new conversation.
#[utoipa::path(post, path = "/v1/conversations", tag = "Conversations",
    operation_id = "create_conversation", request_body = ConversationRequest,
    responses((status = 200, description = "It", body = Conversation), Refusals))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, _): ApiJson<ConversationRequest>,
) -> Result<Json<Conversation>, ApiError> {
    let store = caller.store(&state)?;
    let metadata = request.metadata.unwrap_or_default();
    check_metadata(&metadata)?;
    let (_, items) = new_items(request.items.unwrap_or_default())?;
    let kept = server_store::Conversation {
        id: new_id("conv"),
        created_at: unix_time(),
        metadata: to_json(&metadata)?,
    };
    store.add_conversation(&caller.whose(), &kept, &items).await?;
    Ok(Json(conversation(kept)?))
}

/// A conversation.
#[utoipa::path(get, path = "/v1/conversations/{id}", tag = "Conversations",
    operation_id = "retrieve_conversation", params(("id" = String, Path)),
    responses((status = 200, description = "It", body = Conversation), Refusals))]
pub(crate) async fn retrieve(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Conversation>, ApiError> {
    Ok(Json(conversation(state.kept()?.conversation(&caller.whose(), &id).await?)?))
}

/// Replaces the notes on a conversation.
#[utoipa::path(post, path = "/v1/conversations/{id}", tag = "Conversations",
    operation_id = "update_conversation", params(("id" = String, Path)),
    request_body = MetadataUpdate,
    responses((status = 200, description = "It", body = Conversation), Refusals))]
pub(crate) async fn update(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    ApiJson(request, _): ApiJson<MetadataUpdate>,
) -> Result<Json<Conversation>, ApiError> {
    let metadata = request.metadata.unwrap_or_default();
    check_metadata(&metadata)?;
    let (store, whose) = (state.kept()?, &caller.whose());
    Ok(Json(conversation(store.update_conversation(whose, &id, &to_json(&metadata)?).await?)?))
}

/// Forgets a conversation and its items.
#[utoipa::path(delete, path = "/v1/conversations/{id}", tag = "Conversations",
    operation_id = "delete_conversation", params(("id" = String, Path)),
    responses((status = 200, description = "It is gone", body = Deleted), Refusals))]
pub(crate) async fn delete(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Deleted>, ApiError> {
    state.kept()?.delete_conversation(&caller.whose(), &id).await?;
    Ok(Json(Deleted { id, object: "conversation.deleted".to_owned(), deleted: true }))
}

pub(super) fn conversation(kept: server_store::Conversation) -> Result<Conversation, ApiError> {
    let metadata: Metadata = read(&kept.metadata)?;
    Ok(Conversation {
        id: kept.id,
        object: "conversation".to_owned(),
        created_at: u64::try_from(kept.created_at).unwrap_or(0),
        metadata,
    })
}
