//! Chat completions.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{ToolCall, ToolCallDelta, Usage};

/// A request for the next message of a chat; see also
/// [`GenerationOptions`](crate::GenerationOptions).
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ChatRequest {
    /// The messages so far; at least one.
    pub messages: Vec<ChatMessage>,
    /// Whether to report the log-probabilities of the answer's tokens.
    pub logprobs: Option<bool>,
    /// How many of the likeliest tokens to report at each position; only with `logprobs`.
    #[schema(minimum = 0, maximum = 20)]
    pub top_logprobs: Option<i64>,
    /// Functions that the model may call.
    pub tools: Option<Vec<Value>>,
    /// `auto` (the default), `none`, `required`, or one function:
    /// `{"type": "function", "function": {"name": …}}`.
    pub tool_choice: Option<Value>,
    /// Whether several may be called in one answer; by default they may.
    pub parallel_tool_calls: Option<bool>,
    /// Only `text`.
    pub modalities: Option<Vec<String>>,
    /// Whether the rendered chat ends with the opening of an answer; by default it does.
    pub add_generation_prompt: Option<bool>,
    /// Whether the last message is left open and the answer continues it.
    pub continue_final_message: Option<bool>,
    /// Further variables for the chat template.
    #[schema(value_type = Option<Object>)]
    pub chat_template_kwargs: Option<Map<String, Value>>,
}

/// One message.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ChatMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said. May be absent where tools are called.
    pub content: Option<Content>,
    /// Which of several speakers in a role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Calls of tools, by the assistant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Vec<Value>>,
    /// The call that a tool answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// What a model thought before it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions, by their newer name.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// A text, or an array of parts. Unlike an untagged enum, its errors name the part at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Content {
    /// The text itself.
    Text(String),
    /// Parts of several kinds.
    Parts(Vec<ContentPart>),
}

/// A part of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContentPart {
    /// `text`, `image_url` of a user, or `refusal` of an assistant; others are refused.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text of a part of type `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The image of a part of type `image_url`, for models that see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<ImageUrl>,
    /// The text of a part of type `refusal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageUrl {
    /// `data:image/png;base64,…`; addresses that begin with `http` only where the server allows
    /// them.
    pub url: String,
    /// Of no effect: a model sees all of an image that it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of content parts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = seq.next_element()? {
            parts.push(part);
        }
        Ok(Content::Parts(parts))
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

/// The answer to a [`ChatRequest`] that does not stream.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChatCompletion {
    /// `chatcmpl-…`.
    pub id: String,
    /// Always `chat.completion`.
    pub object: String,
    /// Unix time in seconds.
    pub created: u64,
    /// The model that answered.
    pub model: String,
    /// The answers, `n` of them.
    pub choices: Vec<ChatChoice>,
    /// What was used.
    pub usage: Usage,
    /// Where one was asked for: that by which the request waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Changes when the served version of the model does.
    pub system_fingerprint: String,
}

/// One answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChatChoice {
    /// Which of the `n`.
    pub index: u32,
    /// The message.
    pub message: AssistantMessage,
    /// Set if asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// `stop`, `length`, `tool_calls` or `content_filter`.
    pub finish_reason: String,
}

/// A message of the model.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssistantMessage {
    /// Always `assistant`.
    pub role: Role,
    /// The text; null where nothing is said beside calls.
    pub content: Option<String>,
    /// Always null: this server's models do not refuse out of band.
    pub refusal: Option<String>,
    /// What the model thought before it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The functions that the model calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
}

/// A piece of the answer to a [`ChatRequest`] that streams.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChatChunk {
    /// The same in all pieces.
    pub id: String,
    /// Always `chat.completion.chunk`.
    pub object: String,
    /// The same in all pieces.
    pub created: u64,
    /// The model that answers.
    pub model: String,
    /// One piece of one choice; empty in the piece that carries the usage.
    pub choices: Vec<ChatChunkChoice>,
    /// Only with `stream_options.include_usage`: null in all pieces but the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Usage>)]
    pub usage: Option<Option<Usage>>,
    /// Where one was asked for: that by which the request waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Changes when the served version of the model does.
    pub system_fingerprint: String,
}

/// A piece of one choice.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChatChunkChoice {
    /// Which of the `n`.
    pub index: u32,
    /// What is new.
    pub delta: ChatDelta,
    /// Set if asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// Set in the choice's last piece.
    pub finish_reason: Option<String>,
}

/// What is new in a message.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ChatDelta {
    /// Only in a choice's first piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Text to append.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Thought to append.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// Calls that begin or go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCallDelta>,
}

/// Log-probabilities of a message's tokens.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ChatLogprobs {
    /// One entry per token.
    pub content: Vec<ChatTokenLogprob>,
    /// Always null.
    pub refusal: Option<Vec<ChatTokenLogprob>>,
}

/// The log-probability of a token, and the likeliest at its position.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChatTokenLogprob {
    /// The token's text; replacement characters where it is not valid UTF-8 by itself.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The token's bytes.
    pub bytes: Vec<u8>,
    /// The likeliest tokens, best first.
    pub top_logprobs: Vec<TopLogprob>,
}

/// One of the likeliest tokens.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TopLogprob {
    /// The token's text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The token's bytes.
    pub bytes: Vec<u8>,
}
