//! From messages and texts to tokens.
//!
//! Invariant: rendering and tokenizing of long inputs happen on blocking threads, a bounded number
//! at a time.

use std::sync::Arc;

use engine_core::TokenId;
use engine_text::{ChatInput, TextModel};
use serde_json::{Map, Value};
use server_api::{ChatMessage, Content, ContentPart, Prompt, Role};

use crate::blocking::run_sized;
use crate::{ApiError, AppState};

/// A chat to render.
pub(crate) struct Chat {
    pub(crate) messages: Vec<ChatMessage>,
    pub(crate) tools: Option<Vec<Value>>,
    pub(crate) add_generation_prompt: Option<bool>,
    pub(crate) continue_final_message: bool,
    pub(crate) kwargs: Map<String, Value>,
    pub(crate) add_special_tokens: bool,
}

/// A prompt as tokens, and as the text to echo.
pub(crate) struct Tokenized {
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) text: Option<String>,
}

/// The tokens of a chat, by the model's template.
pub(crate) async fn chat_tokens(
    state: &AppState,
    text: &Arc<TextModel>,
    chat: Chat,
) -> Result<Vec<TokenId>, ApiError> {
    if chat.messages.is_empty() {
        return Err(ApiError::invalid(Some("messages"), "'messages' must not be empty."));
    }
    if chat.continue_final_message && chat.add_generation_prompt == Some(true) {
        let message = "'continue_final_message' and 'add_generation_prompt' exclude each other.";
        return Err(ApiError::invalid(Some("continue_final_message"), message));
    }
    let size = chat.messages.iter().map(message_bytes).sum();
    let text = Arc::clone(text);
    run_sized(state, size, move || render(&text, chat)).await?
}

/// The tokens of a completion's prompts.
pub(crate) async fn prompt_tokens(
    state: &AppState,
    text: &Arc<TextModel>,
    prompt: Prompt,
    add_special_tokens: bool,
) -> Result<Vec<Tokenized>, ApiError> {
    let texts = match prompt {
        Prompt::Tokens(many) => {
            let tokenized = many.into_iter().map(|tokens| Tokenized { tokens, text: None });
            return Ok(tokenized.collect());
        }
        Prompt::Texts(texts) => texts,
    };
    let size = texts.iter().map(String::len).sum();
    let text = Arc::clone(text);
    let encode_all = move || {
        let tokenized = texts.into_iter().map(|prompt| {
            let tokens = encode(&text, &prompt, add_special_tokens, "prompt")?;
            Ok(Tokenized { tokens, text: Some(prompt) })
        });
        tokenized.collect()
    };
    run_sized(state, size, encode_all).await?
}

fn render(text: &TextModel, chat: Chat) -> Result<Vec<TokenId>, ApiError> {
    let messages = template_messages(chat.messages)?;
    let tools = chat.tools.filter(|tools| !tools.is_empty()).map(Value::Array);
    let opens_answer = chat.add_generation_prompt.unwrap_or(!chat.continue_final_message);
    let rendered = text.render_chat(&ChatInput {
        messages: &messages,
        tools: tools.as_ref(),
        add_generation_prompt: opens_answer,
        continue_final_message: chat.continue_final_message,
        kwargs: chat.kwargs,
        template: None,
    });
    let rendered = rendered.map_err(|error| ApiError::from_text(&error, "messages"))?;
    encode(text, &rendered, chat.add_special_tokens, "messages")
}

fn encode(
    text: &TextModel,
    input: &str,
    add_special_tokens: bool,
    field: &str,
) -> Result<Vec<TokenId>, ApiError> {
    text.encode(input, add_special_tokens).map_err(|error| ApiError::from_text(&error, field))
}

fn message_bytes(message: &ChatMessage) -> usize {
    match &message.content {
        Some(Content::Text(text)) => text.len(),
        Some(Content::Parts(parts)) => {
            parts.iter().map(|part| part.text.as_ref().map_or(0, String::len)).sum()
        }
        None => 0,
    }
}

/// The messages as templates know them: no `developer`, no message without content.
fn template_messages(messages: Vec<ChatMessage>) -> Result<Value, ApiError> {
    let messages = messages.into_iter().enumerate().map(|(idx, mut message)| {
        let path = format!("messages[{idx}].content");
        match &message.content {
            Some(Content::Text(_)) => {}
            Some(Content::Parts(parts)) => check_parts(parts, &path)?,
            None if message.role == Role::Assistant => {
                message.content = Some(Content::Text(String::new()));
            }
            None => return Err(ApiError::missing(&path)),
        }
        if message.role == Role::Developer {
            message.role = Role::System;
        }
        serde_json::to_value(message).map_err(|_| ApiError::internal())
    });
    messages.collect::<Result<_, _>>().map(Value::Array)
}

fn check_parts(parts: &[ContentPart], path: &str) -> Result<(), ApiError> {
    for (idx, part) in parts.iter().enumerate() {
        if part.kind != "text" {
            let message = format!("Content of type '{}' is not supported: send text.", part.kind);
            return Err(ApiError::unsupported(&format!("{path}[{idx}].type"), message));
        }
        if part.text.is_none() {
            return Err(ApiError::missing(&format!("{path}[{idx}].text")));
        }
    }
    Ok(())
}
