//! AWS Bedrock's runtime API over the same chat: what comes in is turned into requests that the
//! other APIs have, what goes out is written in Bedrock's words and frames. Of its control plane,
//! what there is to read of models.
//!
//! Invariant: nothing is decided here that the chat does not decide; only names, shapes and who may
//! ask differ. A model is found by its exact id or what AWS makes of that, never by a likeness.

mod access;
mod converse;
mod converse_names;
mod converse_wire;
pub(crate) mod count;
mod errors;
mod event_stream;
mod ids;
mod invoke;
pub(crate) mod models;
mod sigv4;
mod text_wire;

use std::time::Instant;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Json, Router};
use server_api::{BedrockError, ConverseRequest, ConverseResponse};

use self::converse_wire::ConverseWire;
pub(crate) use self::errors::unknown_path;
use self::invoke::{Invocation, InvokeBody};
pub(crate) use self::sigv4::is_signed;
use crate::json::ApiJson;
use crate::{ApiError, AppState, Caller, anthropic, heads, idempotency, router, wire};

/// Paths of no operation: all others below the known ones. A model's id has its slashes escaped.
const UNKNOWN: [&str; 8] = [
    "/foundation-models/",
    "/foundation-models/{id}/{*rest}",
    "/model/",
    "/model/{id}",
    "/model/{id}/",
    "/model/{id}/{operation}",
    "/model/{id}/{operation}/",
    "/model/{id}/{operation}/{*rest}",
];

pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    let once = from_fn_with_state(state.clone(), idempotency::once);
    let known = Router::new()
        .route("/model/{id}/converse", post(converse))
        .route("/model/{id}/converse-stream", post(converse_stream))
        .route("/model/{id}/invoke", post(invoke))
        .route("/model/{id}/invoke-with-response-stream", post(invoke_with_response_stream))
        .layer(once)
        .route("/model/{id}/count-tokens", post(count::count_tokens))
        .route("/foundation-models", get(models::list))
        .route("/foundation-models/{id}", get(models::show));
    let unknown = |router: Router<AppState>, path| router.route(path, any(unknown_operation));
    UNKNOWN
        .into_iter()
        .fold(known, unknown)
        .method_not_allowed_fallback(router::method_not_allowed)
        .route_layer(from_fn_with_state(state.clone(), access::require_caller))
        .layer(from_fn_with_state(state.clone(), heads::require_small))
        .layer(from_fn(errors::shape))
}

/// The id of a model, from a path in which `:` and `/` may be escaped.
type Id = Result<Path<String>, PathRejection>;

/// The id that the model has here.
fn model(state: &AppState, id: Id) -> Result<String, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::invalid(Some("modelId"), error.body_text()))?;
    Ok(ids::resolve(id, |id| state.has_model(id)))
}

/// The next message of a chat.
#[utoipa::path(post, path = "/model/{id}/converse", tag = "Bedrock",
    params(("id" = String, Path, description = "The model's id")), request_body = ConverseRequest,
    responses((status = 200, description = "The message", body = ConverseResponse),
        (status = "4XX", description = "The request is at fault", body = BedrockError),
        (status = "5XX", description = "The server is", body = BedrockError)))]
pub(crate) async fn converse(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    id: Id,
    ApiJson(request, num_bytes): ApiJson<ConverseRequest>,
) -> Result<Response, ApiError> {
    let begun = Instant::now();
    let chat = converse::to_chat(request, model(&state, id)?, false)?;
    let started = converse::start(&state, caller, chat, num_bytes).await?;
    let (writer, tier) = (anthropic::writer(&started), converse_wire::tier(&started));
    let (mut answers, usage) = wire::collect(started.generation, 1).await?;
    let message = writer.message(answers.remove(0), usage);
    Ok(Json(converse_wire::response(message, tier, begun)).into_response())
}

/// The same in pieces.
#[utoipa::path(post, path = "/model/{id}/converse-stream", tag = "Bedrock",
    params(("id" = String, Path, description = "The model's id")), request_body = ConverseRequest,
    responses(
        (status = 200, description = "Events in AWS's frames", body = Vec<u8>,
            content_type = "application/vnd.amazon.eventstream"),
        (status = "4XX", description = "The request is at fault", body = BedrockError),
        (status = "5XX", description = "The server is", body = BedrockError)))]
pub(crate) async fn converse_stream(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    id: Id,
    ApiJson(request, num_bytes): ApiJson<ConverseRequest>,
) -> Result<Response, ApiError> {
    let begun = Instant::now();
    let chat = converse::to_chat(request, model(&state, id)?, true)?;
    let started = converse::start(&state, caller, chat, num_bytes).await?;
    let (writer, tier) = (anthropic::writer(&started), converse_wire::tier(&started));
    let writer = ConverseWire::new(writer, tier, begun);
    Ok(wire::stream(started.generation, writer, state.limits()))
}

/// An answer in the form of a model's maker, which the fields choose: `anthropic_version` with
/// `messages`, `messages` (OpenAI), `prompt` with `max_gen_len` (Meta) or `max_tokens` (Mistral).
#[utoipa::path(post, path = "/model/{id}/invoke", tag = "Bedrock",
    params(("id" = String, Path, description = "The model's id")), request_body = serde_json::Value,
    responses((status = 200, description = "The answer, in that form", body = serde_json::Value),
        (status = "4XX", description = "The request is at fault", body = BedrockError),
        (status = "5XX", description = "The server is", body = BedrockError)))]
pub(crate) async fn invoke(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    id: Id,
    headers: HeaderMap,
    ApiJson(body, num_bytes): ApiJson<InvokeBody>,
) -> Result<Response, ApiError> {
    invoke::refuse_guardrails(&headers)?;
    let body = body.named(model(&state, id)?, false);
    let invocation = Invocation::start(&state, caller, body, num_bytes).await?;
    invocation.answer().await
}

/// The same in pieces.
#[utoipa::path(post, path = "/model/{id}/invoke-with-response-stream", tag = "Bedrock",
    params(("id" = String, Path, description = "The model's id")), request_body = serde_json::Value,
    responses(
        (status = 200, description = "Events in AWS's frames, each with a `chunk`",
            body = Vec<u8>, content_type = "application/vnd.amazon.eventstream"),
        (status = "4XX", description = "The request is at fault", body = BedrockError),
        (status = "5XX", description = "The server is", body = BedrockError)))]
pub(crate) async fn invoke_with_response_stream(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    id: Id,
    headers: HeaderMap,
    ApiJson(body, num_bytes): ApiJson<InvokeBody>,
) -> Result<Response, ApiError> {
    invoke::refuse_guardrails(&headers)?;
    let body = body.named(model(&state, id)?, true);
    let invocation = Invocation::start(&state, caller, body, num_bytes).await?;
    Ok(invocation.stream(state.limits()))
}

async fn unknown_operation() -> ApiError {
    errors::unknown_operation()
}
