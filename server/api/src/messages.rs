//! Anthropic's Messages API.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A request for the next message.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct MessagesRequest {
    /// The model's id.
    pub model: Option<String>,
    /// The messages so far; at least one. A last one of the assistant is continued.
    pub messages: Vec<InputMessage>,
    /// At most this many new tokens.
    #[schema(minimum = 1)]
    pub max_tokens: Option<i64>,
    /// Instructions before all messages.
    pub system: Option<Blocks>,
    /// Texts that end the answer: up to 2,500, of 1,024 bytes each and 64 KiB together.
    pub stop_sequences: Option<Vec<String>>,
    /// Whether to answer in pieces, as server-sent events.
    pub stream: Option<bool>,
    /// 0 always takes the likeliest token; 1 by default.
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f64>,
    /// Keep the likeliest tokens that together reach this probability.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub top_p: Option<f64>,
    /// Keep this many of the likeliest tokens.
    pub top_k: Option<i64>,
    /// Functions that the model may call.
    pub tools: Option<Vec<MessagesTool>>,
    /// Whether, and which, it must.
    pub tool_choice: Option<MessagesToolChoice>,
    /// `{"type": "enabled"}` or `disabled`, for models that can do both.
    pub thinking: Option<Thinking>,
    /// The form of the answer.
    pub output_config: Option<OutputConfig>,
    /// Refused: `output_config.format` is what was made of it.
    pub output_format: Option<Value>,
    /// `auto` and `standard_only` are the same here.
    pub service_tier: Option<String>,
    /// Seconds for the whole answer, from the receipt of the request; then it ends with an error.
    #[schema(minimum = 0.001, maximum = 604_800)]
    pub timeout: Option<f64>,
}

/// One message.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct InputMessage {
    /// `user` or `assistant`.
    pub role: InputRole,
    /// A text, or blocks.
    pub content: Blocks,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputRole {
    /// The person, and what tools gave.
    User,
    /// The model.
    Assistant,
}

/// Blocks of content; a text is one block.
#[derive(Clone, Debug, Default)]
pub struct Blocks(pub Vec<InputBlock>);

impl PartialSchema for Blocks {
    fn schema() -> RefOr<Schema> {
        let block = Ref::from_schema_name(InputBlock::name());
        let blocks = ArrayBuilder::new().items(block);
        RefOr::T(Schema::OneOf(OneOfBuilder::new().item(String::schema()).item(blocks).build()))
    }
}

impl ToSchema for Blocks {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((InputBlock::name().into_owned(), InputBlock::schema()));
        schemas.push((ImageSource::name().into_owned(), ImageSource::schema()));
    }
}

/// A part of a message. Which fields count depends on `type`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct InputBlock {
    /// `text`, `image` (for models that see), `tool_use`, `tool_result` or `thinking`; others are
    /// refused.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `text`.
    pub text: Option<String>,
    /// Of `image`.
    pub source: Option<ImageSource>,
    /// Of `thinking`.
    pub thinking: Option<String>,
    /// Of `tool_use`.
    pub id: Option<String>,
    /// Of `tool_use`: the tool.
    pub name: Option<String>,
    /// Of `tool_use`: the arguments.
    pub input: Option<Value>,
    /// Of `tool_result`: the call it answers.
    pub tool_use_id: Option<String>,
    /// Of `tool_result`: what the tool gave.
    #[schema(no_recursion)]
    pub content: Option<Blocks>,
}

/// Where an image is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct ImageSource {
    /// `base64`, or `url` where the server allows it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `base64`; what the image is is told by its bytes.
    pub media_type: Option<String>,
    /// Of `base64`.
    pub data: Option<String>,
    /// Of `url`.
    pub url: Option<String>,
}

struct BlocksVisitor;

impl<'de> Visitor<'de> for BlocksVisitor {
    type Value = Blocks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of content blocks")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Blocks, E> {
        let (kind, text) = ("text".to_owned(), Some(text.to_owned()));
        Ok(Blocks(vec![InputBlock { kind, text, ..InputBlock::default() }]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Blocks, A::Error> {
        let mut blocks = Vec::new();
        while let Some(block) = seq.next_element()? {
            blocks.push(block);
        }
        Ok(Blocks(blocks))
    }
}

impl<'de> Deserialize<'de> for Blocks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BlocksVisitor)
    }
}

/// A function that the model may call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct MessagesTool {
    /// `custom` or absent; tools that run on the server are refused.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// The JSON schema of its arguments.
    #[schema(value_type = Option<Object>)]
    pub input_schema: Option<Value>,
    /// Whether arguments must match it also where the call is the model's choice.
    pub strict: Option<bool>,
}

/// Whether a tool must be called.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct MessagesToolChoice {
    /// `auto`, `any`, `tool` or `none`.
    #[serde(rename = "type")]
    pub kind: String,
    /// With `tool`: which.
    pub name: Option<String>,
    /// At most one call.
    pub disable_parallel_tool_use: Option<bool>,
}

/// The form of the answer.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct OutputConfig {
    /// A JSON schema that the answer matches.
    pub format: Option<OutputFormat>,
}

/// A JSON schema.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct OutputFormat {
    /// `json_schema`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The schema.
    #[schema(value_type = Option<Object>)]
    pub schema: Option<Value>,
}

/// Whether the model thinks before it answers.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Thinking {
    /// `enabled`, `adaptive` or `disabled`.
    #[serde(rename = "type")]
    pub kind: String,
    /// With `enabled`: at least 1,024, and below `max_tokens`. Thoughts are not cut by it.
    #[schema(minimum = 1024)]
    pub budget_tokens: Option<i64>,
}

/// The answer to a [`MessagesRequest`] that does not stream.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// `msg_…`.
    pub id: String,
    /// Always `message`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Always `assistant`.
    pub role: String,
    /// The model that answered.
    pub model: String,
    /// What was thought, said and called, in order.
    pub content: Vec<OutputBlock>,
    /// `end_turn`, `max_tokens`, `stop_sequence`, `tool_use` or `refusal`; null where a stream
    /// begins.
    pub stop_reason: Option<String>,
    /// The text that ended the answer.
    pub stop_sequence: Option<String>,
    /// What was used.
    pub usage: MessagesUsage,
}

/// A part of an answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OutputBlock {
    /// Thought.
    Thinking {
        /// The text.
        thinking: String,
        /// Always empty: thoughts are not signed.
        signature: String,
    },
    /// Said.
    Text {
        /// The text.
        text: String,
    },
    /// A tool is called.
    ToolUse {
        /// `toolu_…`; the result repeats it.
        id: String,
        /// The tool.
        name: String,
        /// The arguments; empty where what the model wrote is no object, or was cut.
        input: Value,
    },
}

/// What a message used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessagesUsage {
    /// Tokens of the prompt that had to be computed.
    pub input_tokens: u64,
    /// Always 0: whatever is computed is cached.
    pub cache_creation_input_tokens: u64,
    /// Tokens of the prompt that were in the cache.
    pub cache_read_input_tokens: u64,
    /// Tokens generated.
    pub output_tokens: u64,
}

/// How many tokens a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessagesTokenCount {
    /// Tokens of the prompt.
    pub input_tokens: u64,
}
