//! Responses that were kept: `GET` and `DELETE /v1/responses/{id}`, `…/input_items`, `…/cancel`.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};
use server_api::{Deleted, List};
use server_store::{Kept, UNFINISHED};

use crate::openapi::Refusals;
use crate::storage::{self, Query, read};
use crate::wire::{SSE, event_stream};
use crate::{ApiError, AppState, Caller};

/// A response that was kept; one in the background can be followed.
#[utoipa::path(get, path = "/v1/responses/{id}", tag = "Responses",
    operation_id = "retrieve_response",
    params(("id" = String, Path),
        ("stream" = Option<bool>, Query, description = "Events of one in the background"),
        ("starting_after" = Option<u64>, Query, description = "Only events after this number")),
    responses(
        (status = 200, description = "The response",
            content((server_api::Response = "application/json"),
                (serde_json::Value = "text/event-stream"))),
        Refusals))]
pub(crate) async fn retrieve(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, ApiError> {
    let kept = state.kept()?.response(&caller.whose(), &id).await?;
    if !query.is_set("stream") {
        return Ok(Json(body(&kept)?).into_response());
    }
    let start = match query.get("starting_after").map(str::parse::<u32>) {
        None => 0,
        Some(Ok(number)) => number as usize + 1,
        Some(Err(_)) => {
            let message = "Invalid value for 'starting_after': it is an event's number.";
            return Err(ApiError::invalid(Some("starting_after"), message));
        }
    };
    let Some(events) = state.background().events(&caller.whose(), &id) else {
        let message = "Only a response in the background can be streamed again, for some minutes \
                       after its end: retrieve it without 'stream'.";
        return Err(ApiError::invalid(Some("stream"), message));
    };
    Ok(event_stream(SSE, events.follow(start, state.limits().keep_alive)))
}

/// Forgets a response; one that is worked on ends.
#[utoipa::path(delete, path = "/v1/responses/{id}", tag = "Responses",
    operation_id = "delete_response", params(("id" = String, Path)),
    responses((status = 200, description = "It is gone", body = Deleted), Refusals))]
pub(crate) async fn delete(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Deleted>, ApiError> {
    state.kept()?.delete_response(&caller.whose(), &id).await?;
    state.background().stop(&caller.whose(), &id);
    Ok(Json(Deleted { id, object: "response".to_owned(), deleted: true }))
}

/// The items that a response was asked with.
#[utoipa::path(get, path = "/v1/responses/{id}/input_items", tag = "Responses",
    operation_id = "list_response_input_items",
    params(("id" = String, Path), ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("order" = Option<String>, Query), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of them", body = List), Refusals))]
pub(crate) async fn input_items(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<List>, ApiError> {
    let page = query.page(true)?;
    let kept = state.kept()?.response(&caller.whose(), &id).await?;
    let items = read(&kept.input)?;
    Ok(Json(storage::list(storage::page_of(items, &page)?)))
}

/// Ends the work on a response in the background.
#[utoipa::path(post, path = "/v1/responses/{id}/cancel", tag = "Responses",
    operation_id = "cancel_response", params(("id" = String, Path)),
    responses((status = 200, description = "The response", body = server_api::Response),
        Refusals))]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let (store, whose) = (state.kept()?, &caller.whose());
    let response = body(&store.response(whose, &id).await?)?;
    if response["background"] != true {
        let message = "Only a response in the background can be cancelled: to end another, close \
                       its connection.";
        return Err(ApiError::invalid(None, message).code("not_in_background"));
    }
    if store.set_status(whose, &id, "cancelled").await? {
        state.background().stop(&caller.whose(), &id);
    }
    Ok(Json(body(&store.response(whose, &id).await?)?))
}

/// A response as it stands now: what it was kept with may be older.
fn body(kept: &Kept) -> Result<Value, ApiError> {
    let mut body: Value = read(&kept.body)?;
    let was_unfinished = body["status"].as_str().is_some_and(|old| UNFINISHED.contains(&old));
    body["status"] = kept.status.as_str().into();
    if was_unfinished && kept.status == "failed" {
        let message = "The server stopped before the response was complete.";
        body["error"] = json!({"code": "server_error", "message": message});
    }
    Ok(body)
}
