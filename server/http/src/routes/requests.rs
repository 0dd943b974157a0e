//! Requests that run: ending one by its name.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use server_api::CancelledRequest;

use crate::openapi::Refusals;
use crate::{ApiError, AppState, Caller};

/// Ends a request of the same project that runs, by the `x-request-id` of its answer's head or by
/// the id in its answer. What it would still answer becomes an error with code
/// `request_cancelled`.
#[utoipa::path(post, path = "/v1/requests/{id}/cancel", tag = "Requests",
    operation_id = "cancel_request",
    params(("id" = String, Path, description = "`x-request-id`, or the answer's id")),
    responses((status = 200, description = "It ends", body = CancelledRequest), Refusals))]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<CancelledRequest>, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::invalid(Some("id"), error.body_text()))?;
    if !state.tickets().cancel(&caller.whose(), &id) {
        let message = "No request with this id is running.";
        return Err(ApiError::refused(StatusCode::NOT_FOUND, "request_not_found", message));
    }
    Ok(Json(CancelledRequest { id, object: "request".to_owned(), cancelled: true }))
}

/// The same in another form.
#[utoipa::path(delete, path = "/v1/requests/{id}", tag = "Requests",
    operation_id = "delete_request",
    params(("id" = String, Path, description = "`x-request-id`, or the answer's id")),
    responses((status = 200, description = "It ends", body = CancelledRequest), Refusals))]
pub(crate) async fn delete(
    state: State<AppState>,
    caller: Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<CancelledRequest>, ApiError> {
    cancel(state, caller, id).await
}
