//! `POST /v1/chat/completions`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use server_api::{ChatCompletion, ChatRequest};

use super::chat_wire::ChatWire;
use super::stored_chats::{Keep, KeptChat};
use crate::chat::{Started, start};
use crate::json::{ApiJson, Generate};
use crate::openapi::{ChatBody, Refusals};
use crate::tools::check_calls;
use crate::{ApiError, AppState, Caller, wire};

/// The next message of a chat.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "Chat",
    operation_id = "create_chat_completion", request_body = ChatBody,
    responses(
        (status = 200, description = "With `stream`, events with a `ChatChunk` each",
            content((ChatCompletion = "application/json"),
                (serde_json::Value = "text/event-stream"))),
        Refusals))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(mut body, num_bytes): ApiJson<Generate<ChatRequest>>,
) -> Result<Response, ApiError> {
    check_calls(&body.request.messages)?;
    let keep = Keep::asked(&state, &caller, &mut body.options, &body.request.messages).await?;
    let Started { source, tools, opens_thought, mut generation, .. } =
        start(&state, caller, body, num_bytes).await?;
    let wire = ChatWire::new(&source, &tools, opens_thought);
    if source.params.stream {
        return Ok(match keep {
            Some(keep) => wire::stream(generation, KeptChat::new(wire, keep), state.limits()),
            None => wire::stream(generation, wire, state.limits()),
        });
    }
    let (answers, usage) = wire::gather(&mut generation, source.params.n as usize).await?;
    let completion = wire.completion(answers, usage);
    if let Some(keep) = keep {
        Box::pin(keep.keep(&completion)).await?;
    }
    generation.settle().await;
    Ok(Json(completion).into_response())
}
