//! The items that a response is made of, as they begin; and what they came to.

use serde::Serialize;
use serde_json::Value;
use server_api::{
    InputTokensDetails, OutputContent, OutputItem, OutputTokensDetails, ResponsesUsage, Usage,
};

use crate::wire::new_id;

pub(super) fn message() -> OutputItem {
    let (status, role) = ("in_progress".to_owned(), "assistant".to_owned());
    OutputItem::Message { id: new_id("msg"), status, role, content: Vec::new() }
}

pub(super) fn reasoning() -> OutputItem {
    let (status, summary) = ("in_progress".to_owned(), Vec::new());
    OutputItem::Reasoning { id: new_id("rs"), status, summary, content: Vec::new() }
}

pub(super) fn call(name: String) -> OutputItem {
    let (status, arguments) = ("in_progress".to_owned(), String::new());
    OutputItem::FunctionCall { id: new_id("fc"), status, call_id: new_id("call"), name, arguments }
}

pub(super) fn is_message(item: Option<&OutputItem>) -> bool {
    matches!(item, Some(OutputItem::Message { .. }))
}

pub(super) fn is_reasoning(item: Option<&OutputItem>) -> bool {
    matches!(item, Some(OutputItem::Reasoning { .. }))
}

/// An item's id.
pub(super) fn id(item: &OutputItem) -> &str {
    match item {
        OutputItem::Message { id, .. }
        | OutputItem::FunctionCall { id, .. }
        | OutputItem::Reasoning { id, .. } => id,
    }
}

pub(super) fn counted(usage: Usage, reasoning_tokens: u64) -> ResponsesUsage {
    let cached_tokens = usage.prompt_tokens_details.cached_tokens;
    ResponsesUsage {
        input_tokens: usage.prompt_tokens,
        input_tokens_details: InputTokensDetails { cached_tokens, cache_write_tokens: 0 },
        output_tokens: usage.completion_tokens,
        output_tokens_details: OutputTokensDetails {
            reasoning_tokens: reasoning_tokens.min(usage.completion_tokens),
        },
        total_tokens: usage.total_tokens,
    }
}

/// The one part that an item begins with, if it has parts.
pub(super) fn empty_part(item: &OutputItem) -> Option<OutputContent> {
    let text = String::new();
    match item {
        OutputItem::Message { .. } => {
            let (annotations, logprobs) = (Vec::new(), Vec::new());
            Some(OutputContent::OutputText { text, annotations, logprobs })
        }
        OutputItem::Reasoning { .. } => Some(OutputContent::ReasoningText { text }),
        OutputItem::FunctionCall { .. } => None,
    }
}

/// As it is kept: a `Value` made at once would write numbers of 32 bits with the digits of 64.
pub(super) fn shown<T: Serialize>(value: &T) -> Value {
    let text = serde_json::to_string(value).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}
