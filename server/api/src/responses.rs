//! OpenAI's Responses API: what is asked.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What a client notes on something that is kept: at most 16 names of 64 characters with values of
/// 512.
pub type Metadata = BTreeMap<String, String>;

/// A request for a response.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct ResponsesRequest {
    /// The model's id.
    #[schema(required = true, value_type = String)]
    pub model: Option<String>,
    /// A text, or items.
    pub input: Option<ResponsesInput>,
    /// Instructions before all else; they are not those of the response that this one follows.
    pub instructions: Option<String>,
    /// The response that this one follows: its input and output come before this input.
    pub previous_response_id: Option<String>,
    /// The conversation that this response is part of: its items come before this input, and input
    /// and output become items of it.
    pub conversation: Option<ConversationParam>,
    /// Whether the response is kept; by default it is.
    pub store: Option<bool>,
    /// Notes on the response.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Metadata>,
    /// At most this many new tokens.
    #[schema(minimum = 1)]
    pub max_output_tokens: Option<i64>,
    /// Accepted: there are no tools that run here.
    pub max_tool_calls: Option<i64>,
    /// 0 always takes the likeliest token; 1 by default.
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f64>,
    /// Keep the likeliest tokens that together reach this probability.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub top_p: Option<f64>,
    /// How many of the likeliest tokens to report at each position.
    #[schema(minimum = 0, maximum = 20)]
    pub top_logprobs: Option<i64>,
    /// What else to report: `message.output_text.logprobs`.
    pub include: Option<Vec<String>>,
    /// Functions that the model may call.
    pub tools: Option<Vec<Value>>,
    /// `auto` (the default), `none`, `required`, one function: `{"type": "function", "name": …}`,
    /// or some: `{"type": "allowed_tools", "mode": …, "tools": […]}`.
    pub tool_choice: Option<Value>,
    /// Whether several may be called in one answer; by default they may.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer.
    pub text: Option<TextConfig>,
    /// How much to think.
    pub reasoning: Option<Reasoning>,
    /// `disabled` (the default) refuses what is too long for the model; `auto` drops items from
    /// the beginning.
    pub truncation: Option<String>,
    /// Whether to answer in pieces, as server-sent events.
    pub stream: Option<bool>,
    /// Accepted.
    pub stream_options: Option<Value>,
    /// Whether to answer at once and work on; the response is to be retrieved.
    pub background: Option<bool>,
    /// How urgent it is among its tenant's: `auto`, `default`, `flex`, `scale`, `priority`, `fast`.
    pub service_tier: Option<String>,
    /// Accepted, not used.
    pub safety_identifier: Option<String>,
    /// Accepted, not used: prefixes are found without it.
    pub prompt_cache_key: Option<String>,
    /// Accepted, not used.
    pub user: Option<String>,
    /// Seconds for the whole answer, from the receipt of the request; then it ends with an error.
    #[schema(minimum = 0.001, maximum = 604_800)]
    pub timeout: Option<f64>,
    /// Refused: there are no prompts kept here.
    pub prompt: Option<Value>,
    /// Refused: nothing is moderated here.
    pub moderation: Option<Value>,
}

/// A text, or items.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ResponsesInput {
    /// What the user says.
    Text(String),
    /// Items: messages, `function_call`, `function_call_output`, `reasoning`, `item_reference`.
    #[schema(value_type = Vec<Object>)]
    Items(Vec<Value>),
}

struct InputVisitor;

impl<'de> Visitor<'de> for InputVisitor {
    type Value = ResponsesInput;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of items")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ResponsesInput, E> {
        Ok(ResponsesInput::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ResponsesInput, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(ResponsesInput::Items(items))
    }
}

impl<'de> Deserialize<'de> for ResponsesInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InputVisitor)
    }
}

/// A conversation's id, alone or in an object.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConversationParam {
    /// `conv_…`
    pub id: String,
}

#[derive(Deserialize)]
struct ConversationObject {
    id: String,
}

struct ConversationVisitor;

impl<'de> Visitor<'de> for ConversationVisitor {
    type Value = ConversationParam;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a conversation's id, or an object with it")
    }

    fn visit_str<E: Error>(self, id: &str) -> Result<ConversationParam, E> {
        Ok(ConversationParam { id: id.to_owned() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ConversationParam, A::Error> {
        let ConversationObject { id } = Deserialize::deserialize(MapAccessDeserializer::new(map))?;
        Ok(ConversationParam { id })
    }
}

impl<'de> Deserialize<'de> for ConversationParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ConversationVisitor)
    }
}

/// The form of the answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct TextConfig {
    /// Without, or with `text`, any text.
    pub format: Option<TextFormat>,
    /// How much is said: `low`, `medium` or `high`. The model's template is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verbosity: Option<String>,
}

/// The form of the answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TextFormat {
    /// `text`, `json_object` or `json_schema`.
    #[serde(rename = "type")]
    pub kind: String,
    /// With `json_schema`: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With `json_schema`: what it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// With `json_schema`: the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub schema: Option<Value>,
    /// Answers match the schema whether this is set or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// How much to think.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Reasoning {
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`, for models that know
    /// them.
    pub effort: Option<String>,
    /// Accepted: thoughts are given as they are.
    pub summary: Option<String>,
}
