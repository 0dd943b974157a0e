//! AWS Bedrock's Converse API.
//!
//! What may be one of several things is an object with one field, which names it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{ConverseBlock, ConverseContent, InputRole, Thinking};

/// A request for the next message.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConverseRequest {
    /// The messages so far; at least one. A last one of the assistant is continued.
    pub messages: Vec<ConverseMessage>,
    /// Instructions before all messages: `text` blocks.
    pub system: Option<Vec<ConverseBlock>>,
    /// How to generate.
    pub inference_config: Option<InferenceConfig>,
    /// Tools that the model may call.
    pub tool_config: Option<ConverseToolConfig>,
    /// More about how to generate.
    pub additional_model_request_fields: Option<AdditionalFields>,
    /// The form of the answer.
    pub output_config: Option<ConverseOutputConfig>,
    /// How urgent it is among its tenant's; the answer says it again.
    pub service_tier: Option<ConverseServiceTier>,
    /// Refused: there are no guardrails here.
    #[schema(value_type = Option<Object>)]
    pub guardrail_config: Option<Value>,
}

/// One message.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ConverseMessage {
    /// `user` or `assistant`.
    pub role: InputRole,
    /// What is said, thought, called, and what tools gave; at least one block.
    pub content: Vec<ConverseBlock>,
}

/// How to generate.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InferenceConfig {
    /// At most this many new tokens; by default what the context leaves.
    #[schema(minimum = 1)]
    pub max_tokens: Option<i64>,
    /// 0 always takes the likeliest token; 1 by default.
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f64>,
    /// Keep the likeliest tokens that together reach this probability.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub top_p: Option<f64>,
    /// Texts that end the answer: up to 2,500, of 1,024 bytes each and 64 KiB together.
    pub stop_sequences: Option<Vec<String>>,
}

/// More about how to generate. What is not known is refused.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdditionalFields {
    /// Keep this many of the likeliest tokens.
    pub top_k: Option<i64>,
    /// Keep tokens at least this many times as likely as the likeliest.
    pub min_p: Option<f64>,
    /// Above 1, tokens seen before become less likely.
    pub repetition_penalty: Option<f64>,
    /// Above 0, tokens that were generated become less likely.
    pub presence_penalty: Option<f64>,
    /// Above 0, tokens become less likely each time they are generated.
    pub frequency_penalty: Option<f64>,
    /// The same seed gives the same answer.
    pub seed: Option<i64>,
    /// Whether a model that can do both thinks, in Anthropic's form.
    pub thinking: Option<Thinking>,
}

/// How urgent a request is beside others of the same tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConverseServiceTier {
    /// `priority` before most, `flex` after them; `default` and `reserved` as most.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The form of the answer.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConverseOutputConfig {
    /// `{"type": "json_schema", "structure": {"jsonSchema": {"schema": "…"}}}`, the schema as text;
    /// or `{"type": "text"}`: any text.
    #[schema(value_type = Option<Object>)]
    pub text_format: Option<Value>,
}

/// Tools, and which must be called.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConverseToolConfig {
    /// The tools.
    pub tools: Vec<ConverseTool>,
    /// By default the model chooses.
    pub tool_choice: Option<ConverseToolChoice>,
}

/// A tool; those that run on the server are refused.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ConverseTool {
    /// One of the client's.
    ToolSpec {
        /// Its name.
        name: String,
        /// What it does.
        description: Option<String>,
        /// `{"json": …}`: the JSON schema of its arguments.
        #[serde(rename = "inputSchema")]
        input_schema: ConverseContent,
        /// Whether arguments must match it also where the call is the model's choice.
        strict: Option<bool>,
    },
    /// Passed over.
    #[schema(value_type = Object)]
    CachePoint(Value),
}

/// Whether a tool must be called.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ConverseToolChoice {
    /// The model chooses.
    #[schema(value_type = Object)]
    Auto(Value),
    /// Any of them.
    #[schema(value_type = Object)]
    Any(Value),
    /// This one.
    Tool {
        /// Its name.
        name: String,
    },
}

/// The answer to a [`ConverseRequest`] that does not stream.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConverseResponse {
    /// What was answered.
    pub output: ConverseOutput,
    /// `end_turn`, `tool_use`, `max_tokens` or `stop_sequence`.
    pub stop_reason: String,
    /// What was used.
    pub usage: ConverseUsage,
    /// How long it took.
    pub metrics: ConverseMetrics,
    /// Where one was asked for: that by which the request waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<ConverseServiceTier>,
}

/// What was answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ConverseOutput {
    /// A message.
    Message {
        /// Always `assistant`.
        role: String,
        /// What was thought, said and called, in order.
        content: Vec<ConverseBlock>,
    },
}

/// What a message used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConverseUsage {
    /// Tokens of the prompt that had to be computed.
    pub input_tokens: u64,
    /// Tokens generated.
    pub output_tokens: u64,
    /// All, also those that were in the cache.
    pub total_tokens: u64,
    /// Tokens of the prompt that were in the cache.
    pub cache_read_input_tokens: u64,
    /// Always 0: whatever is computed is cached.
    pub cache_write_input_tokens: u64,
}

/// How long an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConverseMetrics {
    /// Milliseconds.
    pub latency_ms: u64,
}

/// An error; the header `x-amzn-ErrorType` names its kind.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BedrockError {
    /// What is wrong.
    pub message: String,
}
