//! `CountTokens`: how many tokens a request would have that is not to be answered.

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use server_api::{
    BedrockError, CompletionRequest, ConverseRequest, CountTokensInput, CountTokensRequest,
    CountTokensResponse,
};

use super::invoke::InvokeBody;
use super::{Id, converse, model};
use crate::json::{ApiJson, FromJson, check_shape, parse_tagged};
use crate::prompt::{Prompts, prompt_tokens};
use crate::{ApiError, AppState, anthropic, chat};

/// The fields of a request to converse that count.
const FIELDS: [&str; 4] = ["messages", "system", "toolConfig", "additionalModelRequestFields"];

/// A request in one of the forms of the operations that answer.
pub(crate) enum Counted {
    Converse(Box<ConverseRequest>),
    Invoke(InvokeBody),
}

impl FromJson for Counted {
    fn from_json(json: &[u8]) -> Result<Self, ApiError> {
        match parse_tagged::<CountTokensRequest>(json)?.input {
            CountTokensInput::Converse(request) => Ok(Self::Converse(request)),
            CountTokensInput::InvokeModel(invoked) => {
                let field = "input.invokeModel.body";
                let body = STANDARD.decode(invoked.body).map_err(|error| {
                    ApiError::invalid(Some(field), format!("'{field}' is not base64: {error}."))
                })?;
                check_shape(&body)?;
                Ok(Self::Invoke(InvokeBody::from_json(&body)?))
            }
        }
    }
}

/// How many tokens the prompt of a request would have.
#[utoipa::path(post, path = "/model/{id}/count-tokens", tag = "Bedrock",
    params(("id" = String, Path, description = "The model's id")),
    request_body = CountTokensRequest,
    responses((status = 200, description = "The number", body = CountTokensResponse),
        (status = "4XX", description = "The request is at fault", body = BedrockError),
        (status = "5XX", description = "The server is", body = BedrockError)))]
pub(crate) async fn count_tokens(
    State(state): State<AppState>,
    id: Id,
    ApiJson(counted, num_bytes): ApiJson<Counted>,
) -> Result<Json<CountTokensResponse>, ApiError> {
    let model = model(&state, id)?;
    let num_tokens = match counted {
        Counted::Converse(request) => {
            let counted = conversed(&state, *request, model, num_bytes).await;
            counted.map_err(|error| error.in_words(placed))?
        }
        Counted::Invoke(body) => invoked(&state, body.named(model, false), num_bytes).await?,
    };
    Ok(Json(CountTokensResponse { input_tokens: num_tokens as u64 }))
}

/// Where a field of a request to converse stands here.
fn placed(field: &str) -> Option<String> {
    let is_at = |name: &&&str| {
        let rest = field.strip_prefix(**name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    FIELDS.iter().find(is_at).map(|_| format!("input.converse.{field}"))
}

async fn conversed(
    state: &AppState,
    request: ConverseRequest,
    model: String,
    num_bytes: usize,
) -> Result<usize, ApiError> {
    let (chat, names) = converse::to_chat(request, model, false)?;
    let counted = chat::count(state, chat, num_bytes).await;
    counted.map_err(|error| names.told(error))
}

async fn invoked(state: &AppState, body: InvokeBody, num_bytes: usize) -> Result<usize, ApiError> {
    match body {
        InvokeBody::Anthropic(request) => {
            anthropic::messages::count(state, *request, num_bytes).await
        }
        InvokeBody::OpenAi(body) => chat::count(state, *body, num_bytes).await,
        InvokeBody::Text(_, body) => {
            let model = state.model_or_only(body.options.model.as_deref())?;
            let CompletionRequest { prompt, add_special_tokens, .. } = body.request;
            let add_special_tokens = add_special_tokens.unwrap_or(true);
            let prompts = Prompts { prompt, add_special_tokens, decode: None, context: None };
            let prompts = prompt_tokens(state, &model.text, prompts).await?;
            Ok(prompts.iter().map(|prompt| prompt.tokens.len()).sum())
        }
    }
}
