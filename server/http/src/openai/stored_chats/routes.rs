//! `GET /v1/chat/completions`, and `/v1/chat/completions/{id}` with its messages.

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::{Value, json};
use server_api::{Deleted, List, MetadataUpdate};
use server_store::{CompletionFilter, Page};

use crate::json::ApiJson;
use crate::openapi::Refusals;
use crate::storage::{self, Query, check_metadata, read, to_json};
use crate::{ApiError, AppState, Caller};

/// Their routes.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/v1/chat/completions", get(list))
        .route("/v1/chat/completions/{id}", get(retrieve).post(update).delete(delete))
        .route("/v1/chat/completions/{id}/messages", get(messages))
}

/// Chat completions that were stored.
#[utoipa::path(get, path = "/v1/chat/completions", tag = "Chat",
    operation_id = "list_chat_completions",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("order" = Option<String>, Query), ("after" = Option<String>, Query),
        ("model" = Option<String>, Query),
        ("metadata" = Option<Object>, Query, style = DeepObject, explode,
            description = "`metadata[NAME]=VALUE`")),
    responses((status = 200, description = "A page of them", body = List), Refusals))]
pub(crate) async fn list(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    query: Query,
) -> Result<Json<List>, ApiError> {
    let model = query.get("model").map(str::to_owned);
    let filter = CompletionFilter { model, metadata: query.metadata()? };
    let page = query.page(false)?;
    let page = state.kept()?.completions(&caller.whose(), &filter, &page).await?;
    let rows = page.rows.iter().map(|body| read(body)).collect::<Result<_, _>>()?;
    Ok(Json(storage::list(Page { rows, has_more: page.has_more })))
}

/// A chat completion that was stored.
#[utoipa::path(get, path = "/v1/chat/completions/{id}", tag = "Chat",
    operation_id = "retrieve_chat_completion", params(("id" = String, Path)),
    responses((status = 200, description = "It", body = server_api::ChatCompletion), Refusals))]
pub(crate) async fn retrieve(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(read(&state.kept()?.completion(&caller.whose(), &id).await?.body)?))
}

/// Replaces the notes on a chat completion.
#[utoipa::path(post, path = "/v1/chat/completions/{id}", tag = "Chat",
    operation_id = "update_chat_completion", params(("id" = String, Path)),
    request_body = MetadataUpdate,
    responses((status = 200, description = "It", body = server_api::ChatCompletion), Refusals))]
pub(crate) async fn update(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    ApiJson(request, _): ApiJson<MetadataUpdate>,
) -> Result<Json<Value>, ApiError> {
    let metadata = request.metadata.unwrap_or_default();
    check_metadata(&metadata)?;
    let (store, whose) = (state.kept()?, &caller.whose());
    let mut kept = store.completion(whose, &id).await?;
    let mut body: Value = read(&kept.body)?;
    body["metadata"] = json!(metadata);
    kept.body = to_json(&body)?;
    let metadata: Vec<_> = metadata.into_iter().collect();
    store.update_completion(whose, &kept, &metadata).await?;
    Ok(Json(body))
}

/// Forgets a chat completion.
#[utoipa::path(delete, path = "/v1/chat/completions/{id}", tag = "Chat",
    operation_id = "delete_chat_completion", params(("id" = String, Path)),
    responses((status = 200, description = "It is gone", body = Deleted), Refusals))]
pub(crate) async fn delete(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Deleted>, ApiError> {
    state.kept()?.delete_completion(&caller.whose(), &id).await?;
    Ok(Json(Deleted { id, object: "chat.completion.deleted".to_owned(), deleted: true }))
}

/// The messages that a chat completion was asked with.
#[utoipa::path(get, path = "/v1/chat/completions/{id}/messages", tag = "Chat",
    operation_id = "list_chat_completion_messages",
    params(("id" = String, Path), ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("order" = Option<String>, Query), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of them", body = List), Refusals))]
pub(crate) async fn messages(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<List>, ApiError> {
    let page = query.page(false)?;
    let kept = state.kept()?.completion(&caller.whose(), &id).await?;
    let mut messages: Vec<Value> = read(&kept.messages)?;
    for (idx, message) in messages.iter_mut().enumerate() {
        message["id"] = format!("{id}-{idx}").into();
        // Parts stand beside the text here.
        if message["content"].is_array() {
            message["content_parts"] = message["content"].take();
        }
    }
    Ok(Json(storage::list(storage::page_of(messages, &page)?)))
}
