//! Plain completions, as evaluation harnesses use them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Prompt, Usage};

/// A request to continue prompts; see also [`GenerationOptions`](crate::GenerationOptions).
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CompletionRequest {
    /// A string, an array of strings, an array of token ids, or an array of such arrays.
    pub prompt: Prompt,
    /// Report the log-probabilities of tokens, and this many of the likeliest at each position.
    #[schema(minimum = 0, maximum = 20)]
    pub logprobs: Option<i64>,
    /// Not other than `n`.
    pub best_of: Option<i64>,
    /// Whether to add the tokenizer's own tokens to prompts that are text; by default so.
    pub add_special_tokens: Option<bool>,
}

/// The answer to a [`CompletionRequest`], or a piece of it when it streams.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Completion {
    /// `cmpl-…`, the same in all pieces.
    pub id: String,
    /// Always `text_completion`.
    pub object: String,
    /// Unix time in seconds.
    pub created: u64,
    /// The model that answered.
    pub model: String,
    /// The continuations: choice `i` of prompt `p` has index `p * n + i`.
    pub choices: Vec<CompletionChoice>,
    /// What was used. In a stream only with `stream_options.include_usage`: null in all pieces
    /// but the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Usage>)]
    pub usage: Option<Option<Usage>>,
    /// Changes when the served version of the model does.
    pub system_fingerprint: String,
}

/// A continuation, or a piece of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CompletionChoice {
    /// Which of the continuations.
    pub index: u32,
    /// Its text, after the prompt if that is echoed.
    pub text: String,
    /// Set if asked for.
    pub logprobs: Option<CompletionLogprobs>,
    /// `stop`, `length` or `content_filter`; null in pieces that are not a choice's last.
    pub finish_reason: Option<String>,
}

/// Log-probabilities of a text's tokens; all lists have one entry per token.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CompletionLogprobs {
    /// Where each token begins in the text, in characters.
    pub text_offset: Vec<usize>,
    /// Natural logarithms of the tokens' probabilities; null for a prompt's first.
    pub token_logprobs: Vec<Option<f32>>,
    /// The tokens' texts; what is not valid UTF-8 by itself is written out, as `bytes:\xe2\x80`.
    pub tokens: Vec<String>,
    /// The likeliest tokens at each position, called as in `tokens`; null for a prompt's first.
    pub top_logprobs: Vec<Option<BTreeMap<String, f32>>>,
}
