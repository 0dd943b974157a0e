//! Options that others have and this server does not: who relies on one is told, not answered
//! wrongly.

use serde_json::Value;
use server_api::UnsupportedOptions;

use crate::ApiError;

/// Refuses them by name, unless they ask for nothing.
pub(crate) fn refuse(options: &UnsupportedOptions) -> Result<(), ApiError> {
    let present = [
        ("audio", &options.audio),
        ("functions", &options.functions),
        ("function_call", &options.function_call),
        ("moderation", &options.moderation),
        ("web_search_options", &options.web_search_options),
        ("suffix", &options.suffix),
        ("allowed_token_ids", &options.allowed_token_ids),
        ("bad_words", &options.bad_words),
        ("logits_processors", &options.logits_processors),
        ("use_beam_search", &options.use_beam_search),
        ("guided_whitespace_pattern", &options.guided_whitespace_pattern),
        ("truncate_prompt_tokens", &options.truncate_prompt_tokens),
        ("prompt_embeds", &options.prompt_embeds),
        ("chat_template", &options.chat_template),
        ("documents", &options.documents),
        ("prompt_logprobs", &options.prompt_logprobs),
        ("return_token_ids", &options.return_token_ids),
    ];
    refuse_any(&present)
}

/// Refuses the first of these that asks for something.
pub(crate) fn refuse_any(present: &[(&str, &Option<Value>)]) -> Result<(), ApiError> {
    match present.iter().find(|(_, value)| value.as_ref().is_some_and(asks)) {
        Some((name, _)) => Err(refusal(name)),
        None => Ok(()),
    }
}

/// Whether a value is more than one that stands for none.
fn asks(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

fn refusal(name: &str) -> ApiError {
    let instead = match name {
        "functions" => " Use 'tools'.",
        "function_call" => " Use 'tool_choice'.",
        "allowed_token_ids" | "bad_words" | "logits_processors" => " Use 'logit_bias'.",
        "prompt_logprobs" => " Use 'echo' with 'logprobs' of completions.",
        _ => "",
    };
    let message = format!("'{name}' is not supported by this server.{instead}");
    ApiError::unsupported(name, message)
}
