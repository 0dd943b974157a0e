//! Embeddings, in OpenAI's form with vLLM's additions.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::Prompt;

/// Asks for the embeddings of texts.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct EmbeddingsRequest {
    /// The model's id.
    #[schema(required = true, value_type = String)]
    pub model: Option<String>,
    /// A string, an array of strings, an array of token ids, or an array of such arrays; at most
    /// 2,048.
    pub input: Prompt,
    /// How to write the numbers; `float` by default.
    pub encoding_format: Option<EncodingFormat>,
    /// Only so many numbers of each embedding, where the model was trained for that.
    #[schema(minimum = 1)]
    pub dimensions: Option<i64>,
    /// Who asks on the client's side. Accepted, not used.
    pub user: Option<String>,
    /// At most this many tokens of each input, -1 for as many as the model reads; without it a
    /// longer input is refused.
    #[schema(minimum = -1)]
    pub truncate_prompt_tokens: Option<i64>,
    /// Which end of an input is cut; by default the right one.
    pub truncation_side: Option<TruncationSide>,
    /// Whether to add the tokenizer's own tokens to inputs that are text; by default so.
    pub add_special_tokens: Option<bool>,
    /// Whether embeddings have length 1; by default so.
    pub use_activation: Option<bool>,
    /// vLLM's chats to embed, which this server does not have.
    #[schema(ignore)]
    pub messages: Option<Value>,
    /// vLLM's other types of numbers, which this server does not have.
    #[schema(ignore)]
    pub embed_dtype: Option<Value>,
    /// vLLM's other order of bytes, which this server does not have.
    #[schema(ignore)]
    pub endianness: Option<Value>,
}

/// How embeddings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodingFormat {
    /// An array of numbers.
    #[default]
    Float,
    /// Little-endian 32-bit floats, in Base64.
    Base64,
}

/// Which end of a text is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TruncationSide {
    /// Its beginning.
    Left,
    /// Its end.
    #[default]
    Right,
}

/// The embeddings of all inputs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Embeddings {
    /// Always `list`.
    pub object: String,
    /// One for each input, in order.
    pub data: Vec<Embedding>,
    /// The model that answered.
    pub model: String,
    /// What was used.
    pub usage: InputUsage,
}

/// One input's.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Embedding {
    /// Always `embedding`.
    pub object: String,
    /// Which of the inputs.
    pub index: usize,
    /// The numbers.
    pub embedding: Vector,
}

/// An embedding, as [`EncodingFormat`] says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Vector {
    /// As numbers.
    Float(Vec<f32>),
    /// As Base64.
    Base64(String),
}

/// What was read; nothing is generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InputUsage {
    /// Tokens of all inputs.
    pub prompt_tokens: u64,
    /// The same.
    pub total_tokens: u64,
}
