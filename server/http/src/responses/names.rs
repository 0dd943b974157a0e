//! What the chat's fields are called in a request for a response.

use serde_json::Value;
use server_api::ResponsesRequest;

use super::messages;
use crate::ApiError;
use crate::names::indexed;

/// What the chat calls some fields, and what they are called here.
const NAMES: [(&str, &str); 11] = [
    ("reasoning_effort", "reasoning.effort"),
    ("verbosity", "text.verbosity"),
    ("max_completion_tokens", "max_output_tokens"),
    ("max_tokens", "max_output_tokens"),
    ("messages", "input"),
    ("response_format.json_schema", "text.format"),
    ("response_format", "text.format"),
    ("tool_choice.allowed_tools", "tool_choice"),
    // An image is its address, and how closely it is seen stands beside it.
    (".image_url.url", ".image_url"),
    (".image_url.detail", ".detail"),
    (".function.", "."),
];

/// The chat's error in the request's words; the last `num_new` of the items are its own.
pub(super) fn told(
    error: ApiError,
    request: &ResponsesRequest,
    (items, num_new): (&[Value], usize),
) -> ApiError {
    let place = |path: &str| {
        let (message, rest) = indexed(path, "messages")?;
        let Some(item) = messages::item_of(request.instructions.as_deref(), items, message) else {
            return Some("instructions".to_owned());
        };
        // What was dropped came first.
        Some(match (item + num_new).checked_sub(items.len()) {
            Some(own) => format!("input[{own}]{rest}"),
            None if request.conversation.is_some() => "conversation".to_owned(),
            None => "previous_response_id".to_owned(),
        })
    };
    error.in_words(place).renamed(&NAMES)
}
