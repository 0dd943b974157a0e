//! `POST /v1/messages` and `/v1/messages/count_tokens`, as Anthropic has them.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use server_api::{ErrorBody, Message, MessagesRequest, MessagesTokenCount};

use super::{MessagesWire, check_budget, to_chat};
use crate::chat::{self, Started};
use crate::json::ApiJson;
use crate::openapi::Refusals;
use crate::wire;
use crate::{ApiError, AppState, Caller};

/// The next message of a chat.
#[utoipa::path(post, path = "/v1/messages", tag = "Messages", operation_id = "create_message",
    request_body = MessagesRequest,
    responses(
        (status = 200, description = "With `stream`, Anthropic's events",
            content((Message = "application/json"), (serde_json::Value = "text/event-stream"))),
        (status = 529, description = "The queue is full or the model is loading", body = ErrorBody),
        Refusals))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, num_bytes): ApiJson<MessagesRequest>,
) -> Result<Response, ApiError> {
    check_budget(request.thinking.as_ref(), request.max_tokens)?;
    let (chat, names) = to_chat(request)?;
    let started = chat::start(&state, caller, chat, num_bytes).await;
    let started = started.map_err(|error| names.told(error))?;
    let wire = writer(&started);
    if started.source.params.stream {
        return Ok(wire::stream(started.generation, wire, state.limits()));
    }
    let (mut answers, usage) = wire::collect(started.generation, 1).await?;
    Ok(Json(wire.message(answers.remove(0), usage)).into_response())
}

/// What writes the answer of a chat.
pub(crate) fn writer(started: &Started) -> MessagesWire {
    let Started { source, tools, opens_thought, num_prompt, .. } = started;
    let stop_texts = source.params.stop_texts.clone();
    let parser = tools.parser(source, *opens_thought);
    MessagesWire::new(source.model.id.clone(), parser, stop_texts, *num_prompt)
}

/// How many tokens the prompt of a request would have.
#[utoipa::path(post, path = "/v1/messages/count_tokens", tag = "Messages",
    operation_id = "count_message_tokens", request_body = MessagesRequest,
    responses((status = 200, description = "The number", body = MessagesTokenCount),
        (status = 529, description = "The model is loading", body = ErrorBody), Refusals))]
pub(crate) async fn count_tokens(
    State(state): State<AppState>,
    ApiJson(request, num_bytes): ApiJson<MessagesRequest>,
) -> Result<Json<MessagesTokenCount>, ApiError> {
    let input_tokens = count(&state, request, num_bytes).await? as u64;
    Ok(Json(MessagesTokenCount { input_tokens }))
}

/// The tokens of a request's prompt, which needs no `max_tokens`.
pub(crate) async fn count(
    state: &AppState,
    mut request: MessagesRequest,
    num_bytes: usize,
) -> Result<usize, ApiError> {
    check_budget(request.thinking.as_ref(), request.max_tokens)?;
    request.max_tokens = Some(1);
    let (chat, names) = to_chat(request)?;
    let counted = chat::count(state, chat, num_bytes).await;
    counted.map_err(|error| names.told(error))
}
