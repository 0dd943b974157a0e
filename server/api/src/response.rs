//! OpenAI's Responses API: what is answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{ChatTokenLogprob, Metadata, Reasoning, TextConfig};

/// A response.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Response {
    /// `resp_…`
    pub id: String,
    /// Always `response`.
    pub object: String,
    /// Unix time in seconds.
    pub created_at: u64,
    /// `queued`, `in_progress`, `completed`, `incomplete`, `failed` or `cancelled`.
    pub status: String,
    /// Whether it was asked for in the background.
    pub background: bool,
    /// When it was complete.
    pub completed_at: Option<u64>,
    /// Why it failed.
    pub error: Option<ResponseError>,
    /// Why it is incomplete.
    pub incomplete_details: Option<IncompleteDetails>,
    /// As asked.
    pub instructions: Option<String>,
    /// As asked.
    pub max_output_tokens: Option<i64>,
    /// As asked.
    pub max_tool_calls: Option<i64>,
    /// The model that answers.
    pub model: String,
    /// What the model said, thought and called.
    pub output: Vec<OutputItem>,
    /// As asked.
    pub parallel_tool_calls: bool,
    /// As asked.
    pub previous_response_id: Option<String>,
    /// The conversation that it is part of.
    pub conversation: Option<ConversationId>,
    /// As asked.
    pub prompt_cache_key: Option<String>,
    /// As asked.
    pub reasoning: Reasoning,
    /// As asked.
    pub safety_identifier: Option<String>,
    /// Always `default`.
    pub service_tier: String,
    /// Whether it is kept.
    pub store: bool,
    /// As asked.
    pub temperature: f64,
    /// As asked.
    pub text: TextConfig,
    /// As asked.
    pub tool_choice: Value,
    /// As asked.
    pub tools: Vec<Value>,
    /// As asked.
    pub top_logprobs: i64,
    /// As asked.
    pub top_p: f64,
    /// As asked.
    pub truncation: String,
    /// What was used, once it is known.
    pub usage: Option<ResponsesUsage>,
    /// As asked.
    pub user: Option<String>,
    /// As asked.
    #[schema(value_type = Object)]
    pub metadata: Metadata,
}

/// Why a response failed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ResponseError {
    /// `server_error` or `invalid_prompt`.
    pub code: String,
    /// For people.
    pub message: String,
}

/// Why a response is incomplete.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct IncompleteDetails {
    /// `max_output_tokens`.
    pub reason: String,
}

/// A conversation's id.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ConversationId {
    /// `conv_…`
    pub id: String,
}

/// Something the model made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OutputItem {
    /// It said something.
    Message {
        /// `msg_…`
        id: String,
        /// `in_progress`, `completed` or `incomplete`.
        status: String,
        /// Always `assistant`.
        role: String,
        /// What it said.
        content: Vec<OutputContent>,
    },
    /// It calls a function.
    FunctionCall {
        /// `fc_…`
        id: String,
        /// `in_progress`, `completed` or `incomplete`.
        status: String,
        /// `call_…`, which the result repeats.
        call_id: String,
        /// The function.
        name: String,
        /// JSON, as the model wrote it.
        arguments: String,
    },
    /// It thought.
    Reasoning {
        /// `rs_…`
        id: String,
        /// `in_progress`, `completed` or `incomplete`.
        status: String,
        /// Always empty: thoughts are given as they are.
        summary: Vec<Value>,
        /// What it thought.
        content: Vec<OutputContent>,
    },
}

/// A part of what the model made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OutputContent {
    /// Said.
    OutputText {
        /// The text.
        text: String,
        /// Always empty.
        annotations: Vec<Value>,
        /// Of its tokens, if they were asked for.
        logprobs: Vec<ChatTokenLogprob>,
    },
    /// Thought.
    ReasoningText {
        /// The text.
        text: String,
    },
}

/// What a response used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResponsesUsage {
    /// Tokens of the input, and all before it.
    pub input_tokens: u64,
    /// More about them.
    pub input_tokens_details: InputTokensDetails,
    /// Tokens generated.
    pub output_tokens: u64,
    /// More about them.
    pub output_tokens_details: OutputTokensDetails,
    /// Both together.
    pub total_tokens: u64,
}

/// More about the input's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InputTokensDetails {
    /// How many did not have to be computed.
    pub cached_tokens: u64,
    /// Always 0: what is cached costs nothing here.
    pub cache_write_tokens: u64,
}

/// More about the output's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutputTokensDetails {
    /// How many were thoughts.
    pub reasoning_tokens: u64,
}

/// How many tokens an input has.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct InputTokenCount {
    /// Always `response.input_tokens`.
    pub object: String,
    /// The number.
    pub input_tokens: u64,
}
