//! Models and the server's own state.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A model that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Model {
    /// The name to put into a request's `model`.
    pub id: String,
    /// Always `model`.
    pub object: String,
    /// Unix time in seconds.
    pub created: u64,
    /// Who owns it.
    pub owned_by: String,
    /// Positions a sequence can have: prompt and output together; of an encoder, tokens of the
    /// longest input; of a transcriber, those of half a minute.
    pub max_model_len: u32,
    /// For an adapter the model that it is computed on top of, as vLLM says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// `embedder`, `classifier` or `transcriber`, of a model that does not generate text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// All models that are served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelList {
    /// Always `list`.
    pub object: String,
    /// The models, by id.
    pub data: Vec<Model>,
}

/// The state of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, `loading` or `failed`.
    pub status: String,
    /// What is not ready, with what is known of it: models, API keys where they cannot be checked,
    /// and usage where it cannot be recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<String>,
}
