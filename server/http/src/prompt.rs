//! From messages and texts to tokens.
//!
//! Invariant: rendering and tokenizing of long inputs happen on blocking threads, a bounded number
//! at a time.

use std::sync::Arc;

use engine_core::TokenId;
use engine_text::{ChatInput, TextError, TextModel};
use serde_json::{Map, Value};
use server_api::{ChatMessage, Prompt};

use crate::blocking::run_sized;
use crate::images::{self, Sight, Wrong};
use crate::{ApiError, AppState, chat_messages};

/// A chat to render.
pub(crate) struct Chat {
    pub(crate) messages: Vec<ChatMessage>,
    /// The images that were taken out of them, of a model that sees.
    pub(crate) sight: Option<Sight>,
    pub(crate) tools: Option<Vec<Value>>,
    pub(crate) add_generation_prompt: Option<bool>,
    pub(crate) continue_final_message: bool,
    pub(crate) kwargs: Map<String, Value>,
    pub(crate) add_special_tokens: bool,
    /// The tokens that the prompt must not exceed, unless it is only tokenized.
    pub(crate) context: Option<u32>,
    /// Of the body it came in: not only contents cost work, so do empty messages and tools.
    pub(crate) num_bytes: usize,
}

/// Prompts of a completion.
pub(crate) struct Prompts {
    pub(crate) prompt: Prompt,
    pub(crate) add_special_tokens: bool,
    /// Whether the text of a prompt of tokens is wanted, and whether without special tokens.
    pub(crate) decode: Option<bool>,
    /// The tokens that a prompt must not exceed, unless it is only tokenized.
    pub(crate) context: Option<u32>,
}

/// What templates of models that always think end a prompt with.
const THOUGHTS: [&str; 2] = ["<think>", "[THINK]"];

/// A rendered chat.
pub(crate) struct ChatPrompt {
    pub(crate) tokens: Vec<TokenId>,
    /// Whether the answer begins within a thought.
    pub(crate) opens_thought: bool,
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
) -> Result<ChatPrompt, ApiError> {
    if chat.messages.is_empty() {
        return Err(ApiError::invalid(Some("messages"), "'messages' must not be empty."));
    }
    if chat.continue_final_message && chat.add_generation_prompt == Some(true) {
        let message = "'continue_final_message' and 'add_generation_prompt' exclude each other.";
        return Err(ApiError::invalid(Some("continue_final_message"), message));
    }
    let text = Arc::clone(text);
    run_sized(state, chat.num_bytes, move || render(&text, chat)).await?
}

/// The tokens of a completion's prompts.
pub(crate) async fn prompt_tokens(
    state: &AppState,
    text: &Arc<TextModel>,
    prompts: Prompts,
) -> Result<Vec<Tokenized>, ApiError> {
    let Prompts { prompt, add_special_tokens, decode, context } = prompts;
    let text = Arc::clone(text);
    match prompt {
        Prompt::Tokens(many) => {
            let size = many.iter().map(Vec::len).sum();
            let tokenized = move |tokens: Vec<TokenId>| Tokenized {
                text: decode.map(|skip_special| text.decode(&tokens, skip_special)),
                tokens,
            };
            run_sized(state, size, || many.into_iter().map(tokenized).collect()).await
        }
        Prompt::Texts(texts) => {
            let size = texts.iter().map(String::len).sum();
            let tokenized = move |prompt: String| {
                let tokens = text.encode(&prompt, add_special_tokens);
                let tokens = tokens.map_err(|error| refused(&text, &error, "prompt", context))?;
                Ok(Tokenized { tokens, text: Some(prompt) })
            };
            run_sized(state, size, || texts.into_iter().map(tokenized).collect()).await?
        }
    }
}

/// The text of each token.
pub(crate) async fn token_strs(
    state: &AppState,
    text: &Arc<TextModel>,
    tokens: &[TokenId],
) -> Result<Vec<String>, ApiError> {
    let (text, tokens, size) = (Arc::clone(text), tokens.to_vec(), tokens.len());
    let strs = move || tokens.iter().map(|&token| text.token_text(token)).collect();
    run_sized(state, size, strs).await
}

fn render(text: &TextModel, chat: Chat) -> Result<ChatPrompt, ApiError> {
    let num_images = chat.sight.as_ref().map_or(0, |sight| sight.plans.len());
    let mut messages = chat_messages::for_template(chat.messages, num_images)?;
    let mut tools = chat.tools.filter(|tools| !tools.is_empty());
    if !text.has_tools() {
        chat_messages::write_out_tools(&mut messages, tools.take().as_deref());
    }
    let (mut messages, mut tools) = (Value::Array(messages), tools.map(Value::Array));
    let mut kwargs = chat.kwargs;
    let cut = chat.sight.as_ref().map(|sight| {
        let mut values: Vec<_> = tools.iter_mut().chain(kwargs.values_mut()).collect();
        values.push(&mut messages);
        images::escape(&mut values, &sight.marks.text)
    });
    let cut = cut.transpose()?;
    let opens_answer = chat.add_generation_prompt.unwrap_or(!chat.continue_final_message);
    let rendered = text.render_chat(&ChatInput {
        messages: &messages,
        tools: tools.as_ref(),
        add_generation_prompt: opens_answer,
        continue_final_message: chat.continue_final_message,
        kwargs,
    });
    let wrong = |wrong: Wrong| match wrong {
        Wrong::Text(error) => refused(text, &error, "messages", chat.context),
        Wrong::Marks => {
            let message = "The model's chat template does not show each image once, or texts hold \
                           what stands for an image.";
            ApiError::invalid(Some("messages"), message)
        }
    };
    let prompt = rendered.map_err(|error| wrong(error.into()))?;
    let opens_thought = THOUGHTS.iter().any(|mark| prompt.trim_end().ends_with(mark));
    let tokens = match (&chat.sight, cut) {
        (Some(sight), Some(cut)) => {
            images::tokens(text, (&prompt, cut), sight, chat.add_special_tokens)
        }
        _ => text.encode(&prompt, chat.add_special_tokens).map_err(Wrong::from),
    };
    Ok(ChatPrompt { tokens: tokens.map_err(wrong)?, opens_thought })
}

/// What is too long to tokenize is mostly too long for the context, too; then that is said.
fn refused(text: &TextModel, error: &TextError, field: &str, context: Option<u32>) -> ApiError {
    let (at_least, shown) = match error {
        TextError::TextTooLong { len, .. } | TextError::RunTooLong { len, .. } => {
            (*len, format!("{len} bytes"))
        }
        TextError::RenderedTooLong { max } => (max + 1, format!("more than {max} bytes")),
        _ => return ApiError::from_text(error, field),
    };
    let min_tokens = text.min_tokens(at_least);
    match context {
        Some(limit) if min_tokens > limit as usize => {
            ApiError::context_length_bytes(field, &shown, min_tokens, limit)
        }
        _ => ApiError::from_text(error, field),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::HttpLimits;

    fn chat(num_bytes: usize) -> Chat {
        let messages = serde_json::from_str(r#"[{"role": "assistant"}]"#);
        Chat {
            messages: messages.unwrap(),
            sight: None,
            tools: None,
            add_generation_prompt: None,
            continue_final_message: false,
            kwargs: Map::new(),
            add_special_tokens: false,
            context: None,
            num_bytes,
        }
    }

    /// Large work waits for a place on the blocking threads: it is not done in place.
    #[tokio::test]
    async fn work_is_measured_by_all_that_causes_it() {
        let limits = HttpLimits { max_text_jobs: 1, ..HttpLimits::default() };
        let state = AppState::builder().limits(limits).build();
        let text = Arc::new(TextModel::byte_level());
        let echoed = |num_tokens: usize| Prompts {
            prompt: Prompt::Tokens(vec![vec![97; num_tokens]]),
            add_special_tokens: false,
            decode: Some(true),
            context: None,
        };
        let large = 1 << 20;
        let place = state.text_jobs().acquire_owned().await.unwrap();
        assert!(chat_tokens(&state, &text, chat(100)).now_or_never().unwrap().is_ok());
        assert!(chat_tokens(&state, &text, chat(large)).now_or_never().is_none());
        assert!(prompt_tokens(&state, &text, echoed(100)).now_or_never().unwrap().is_ok());
        assert!(prompt_tokens(&state, &text, echoed(large)).now_or_never().is_none());
        let tokens = vec![97; large];
        assert!(token_strs(&state, &text, &tokens[..100]).now_or_never().unwrap().is_ok());
        assert!(token_strs(&state, &text, &tokens).now_or_never().is_none());
        drop(place);
        assert!(!chat_tokens(&state, &text, chat(large)).await.unwrap().tokens.is_empty());
        let tokenized = prompt_tokens(&state, &text, echoed(large)).await.unwrap();
        assert_eq!(tokenized[0].text.as_deref().map(str::len), Some(large));
        assert_eq!(token_strs(&state, &text, &tokens).await.unwrap().len(), large);
    }
}
