//! Tokens of texts and back, in vLLM's form.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use server_api::{
    DetokenizeRequest, DetokenizeResponse, Prompt, TokenizeRequest, TokenizeResponse, TokenizerInfo,
};

use crate::blocking::run_sized;
use crate::images::{self, Images};
use crate::json::ApiJson;
use crate::openapi::Refusals;
use crate::prompt::{Chat, Prompts, chat_tokens, prompt_tokens, token_strs};
use crate::served::Served;
use crate::{ApiError, AppState};

/// The tokens of a text or a chat.
#[utoipa::path(post, path = "/tokenize", tag = "Tokens", request_body = TokenizeRequest,
    responses((status = 200, description = "The tokens", body = TokenizeResponse), Refusals))]
pub(crate) async fn tokenize(
    State(state): State<AppState>,
    ApiJson(request, num_bytes): ApiJson<TokenizeRequest>,
) -> Result<Json<TokenizeResponse>, ApiError> {
    let model = state.served_or_only(request.model.as_deref())?;
    let with_strs = request.return_token_strs.unwrap_or(false);
    let tokens = request_tokens(&state, &model, request, num_bytes).await?;
    let token_strs = match with_strs {
        true => Some(token_strs(&state, model.text(), &tokens).await?),
        false => None,
    };
    Ok(Json(TokenizeResponse {
        count: tokens.len(),
        max_model_len: model.max_len(),
        token_strs,
        tokens,
    }))
}

/// What a client must know to count tokens as the server does, where one model is served.
#[utoipa::path(get, path = "/tokenizer_info", tag = "Tokens",
    responses((status = 200, description = "The tokenizer", body = TokenizerInfo), Refusals))]
pub(crate) async fn info(State(state): State<AppState>) -> Result<Json<TokenizerInfo>, ApiError> {
    let model = state.served_or_only(None)?;
    let text = model.text();
    let bos = text.bos_token_id().map_err(|error| ApiError::from_text(&error, "model"))?;
    Ok(Json(TokenizerInfo {
        model: model.id().to_owned(),
        bos_token: bos.map(|token| text.token_text(token)),
        eos_token: text.eos_token_ids().first().map(|token| text.token_text(*token)),
        vocab_size: text.vocab_size(),
        model_max_length: model.max_len(),
    }))
}

/// The text of tokens.
#[utoipa::path(post, path = "/detokenize", tag = "Tokens", request_body = DetokenizeRequest,
    responses((status = 200, description = "The text", body = DetokenizeResponse), Refusals))]
pub(crate) async fn detokenize(
    State(state): State<AppState>,
    ApiJson(request, _): ApiJson<DetokenizeRequest>,
) -> Result<Json<DetokenizeResponse>, ApiError> {
    let model = state.served_or_only(request.model.as_deref())?;
    let text = Arc::clone(model.text());
    let vocab_size = text.vocab_size();
    if let Some(token) = request.tokens.iter().find(|token| **token as usize >= vocab_size) {
        let message = format!("Token id {token} is outside the vocabulary of {vocab_size}.");
        return Err(ApiError::invalid(Some("tokens"), message));
    }
    let num_tokens = request.tokens.len();
    let decode = move || text.decode(&request.tokens, false);
    let prompt = run_sized(&state, num_tokens, decode).await?;
    Ok(Json(DetokenizeResponse { prompt }))
}

async fn request_tokens(
    state: &AppState,
    model: &Served,
    request: TokenizeRequest,
    num_bytes: usize,
) -> Result<Vec<u32>, ApiError> {
    let text = model.text();
    match (request.prompt, request.messages) {
        (Some(prompt), None) => {
            let prompts = Prompts {
                prompt: Prompt::Texts(vec![prompt]),
                add_special_tokens: request.add_special_tokens.unwrap_or(true),
                decode: None,
                context: None,
            };
            let tokenized = prompt_tokens(state, text, prompts).await?;
            Ok(tokenized.into_iter().flat_map(|prompt| prompt.tokens).collect())
        }
        (None, Some(mut messages)) => {
            let images = match model {
                Served::Generator(model) => images::gather(state, model, &mut messages).await?,
                Served::Encoder(_) | Served::Speech(_) => None,
            };
            let chat = Chat {
                messages,
                sight: images.as_ref().map(Images::sight),
                tools: request.tools,
                add_generation_prompt: request.add_generation_prompt,
                continue_final_message: request.continue_final_message.unwrap_or(false),
                kwargs: request.chat_template_kwargs.unwrap_or_default(),
                add_special_tokens: request.add_special_tokens.unwrap_or(false),
                context: None,
                num_bytes,
            };
            Ok(chat_tokens(state, text, chat).await?.tokens)
        }
        _ => {
            let message = "Give either 'prompt' or 'messages'.";
            Err(ApiError::invalid(Some("prompt"), message))
        }
    }
}
