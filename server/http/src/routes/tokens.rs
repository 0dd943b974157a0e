//! Tokens of texts and back, in vLLM's form.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine_text::TextModel;
use server_api::{
    DetokenizeRequest, DetokenizeResponse, Prompt, TokenizeRequest, TokenizeResponse,
};

use crate::blocking::run_sized;
use crate::json::ApiJson;
use crate::openapi::Refusals;
use crate::prompt::{Chat, chat_tokens, prompt_tokens};
use crate::{ApiError, AppState};

/// The tokens of a text or a chat.
#[utoipa::path(post, path = "/tokenize", tag = "Tokens", request_body = TokenizeRequest,
    responses((status = 200, description = "The tokens", body = TokenizeResponse), Refusals))]
pub(crate) async fn tokenize(
    State(state): State<AppState>,
    ApiJson(request): ApiJson<TokenizeRequest>,
) -> Result<Json<TokenizeResponse>, ApiError> {
    let model = state.model(&request.model)?;
    let with_strs = request.return_token_strs.unwrap_or(false);
    let tokens = request_tokens(&state, &model.text, request).await?;
    let text = |token: &u32| model.text.token_text(*token);
    Ok(Json(TokenizeResponse {
        count: tokens.len(),
        max_model_len: model.handle.limits().max_sequence_len(),
        token_strs: with_strs.then(|| tokens.iter().map(text).collect()),
        tokens,
    }))
}

/// The text of tokens.
#[utoipa::path(post, path = "/detokenize", tag = "Tokens", request_body = DetokenizeRequest,
    responses((status = 200, description = "The text", body = DetokenizeResponse), Refusals))]
pub(crate) async fn detokenize(
    State(state): State<AppState>,
    ApiJson(request): ApiJson<DetokenizeRequest>,
) -> Result<Json<DetokenizeResponse>, ApiError> {
    let model = state.model(&request.model)?;
    let vocab_size = model.text.vocab_size();
    if let Some(token) = request.tokens.iter().find(|token| **token as usize >= vocab_size) {
        let message = format!("Token id {token} is outside the vocabulary of {vocab_size}.");
        return Err(ApiError::invalid(Some("tokens"), message));
    }
    let num_tokens = request.tokens.len();
    let decode = move || model.text.decode(&request.tokens, false);
    let prompt = run_sized(&state, num_tokens, decode).await?;
    Ok(Json(DetokenizeResponse { prompt }))
}

async fn request_tokens(
    state: &AppState,
    text: &Arc<TextModel>,
    request: TokenizeRequest,
) -> Result<Vec<u32>, ApiError> {
    match (request.prompt, request.messages) {
        (Some(prompt), None) => {
            let prompt = Prompt::Texts(vec![prompt]);
            let special = request.add_special_tokens.unwrap_or(true);
            let tokenized = prompt_tokens(state, text, prompt, special).await?;
            Ok(tokenized.into_iter().flat_map(|prompt| prompt.tokens).collect())
        }
        (None, Some(messages)) => {
            let chat = Chat {
                messages,
                tools: request.tools,
                add_generation_prompt: request.add_generation_prompt,
                continue_final_message: request.continue_final_message.unwrap_or(false),
                kwargs: request.chat_template_kwargs.unwrap_or_default(),
                add_special_tokens: request.add_special_tokens.unwrap_or(false),
            };
            chat_tokens(state, text, chat).await
        }
        _ => {
            let message = "Give either 'prompt' or 'messages'.";
            Err(ApiError::invalid(Some("prompt"), message))
        }
    }
}
