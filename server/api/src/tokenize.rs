//! Tokens of a text and back, in vLLM's form.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::ChatMessage;

/// Asks for the tokens of either `prompt` or `messages`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct TokenizeRequest {
    /// Whose tokenizer; may be left out where one model is served.
    pub model: Option<String>,
    /// A plain text.
    pub prompt: Option<String>,
    /// A chat, rendered by the model's template.
    #[schema(nullable)]
    pub messages: Option<Vec<ChatMessage>>,
    /// Tools for the chat template.
    pub tools: Option<Vec<Value>>,
    /// Whether to add the tokenizer's own tokens, such as a beginning of sequence. By default so
    /// for `prompt` and not for `messages`, whose template writes them.
    pub add_special_tokens: Option<bool>,
    /// Whether the rendered chat ends with the opening of an answer; by default it does.
    pub add_generation_prompt: Option<bool>,
    /// Whether the last message is left open to be continued.
    pub continue_final_message: Option<bool>,
    /// Further variables for the chat template.
    #[schema(value_type = Option<Object>)]
    pub chat_template_kwargs: Option<Map<String, Value>>,
    /// Whether to answer with the tokens' texts, too.
    pub return_token_strs: Option<bool>,
}

/// The tokens of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenizeResponse {
    /// How many tokens.
    pub count: usize,
    /// Positions a sequence can have: prompt and output together.
    pub max_model_len: u32,
    /// The token ids.
    pub tokens: Vec<u32>,
    /// The tokens' texts, if asked for.
    pub token_strs: Option<Vec<String>>,
}

/// Asks for the text of tokens.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct DetokenizeRequest {
    /// Whose tokenizer; may be left out where one model is served.
    pub model: Option<String>,
    /// The token ids.
    pub tokens: Vec<u32>,
}

/// The text of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DetokenizeResponse {
    /// The text, special tokens included.
    pub prompt: String,
}

/// What a client must know of a tokenizer, in vLLM's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenizerInfo {
    /// Whose.
    pub model: String,
    /// The token that begins a text, where the model has one.
    pub bos_token: Option<String>,
    /// The token that ends a text.
    pub eos_token: Option<String>,
    /// How many tokens there are.
    pub vocab_size: usize,
    /// Positions a sequence can have.
    pub model_max_length: u32,
}
