//! What AWS's clients ask of Bedrock's models beside answers: which there are, and how many tokens
//! a request would have.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ConverseRequest;

/// A model.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundationModel {
    /// `arn:aws:bedrock:local::foundation-model/ID`; requests may name it so.
    pub model_arn: String,
    /// Its id.
    pub model_id: String,
    /// The id again.
    pub model_name: String,
    /// Always `Agentbase`.
    pub provider_name: String,
    /// What it takes: `TEXT`, and `IMAGE` if it sees.
    pub input_modalities: Vec<String>,
    /// What it gives: `TEXT`.
    pub output_modalities: Vec<String>,
    /// Always true.
    pub response_streaming_supported: bool,
    /// Always empty.
    pub customizations_supported: Vec<String>,
    /// Always `ON_DEMAND`.
    pub inference_types_supported: Vec<String>,
    /// Always active.
    pub model_lifecycle: ModelLifecycle,
}

/// What becomes of a model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelLifecycle {
    /// Always `ACTIVE`.
    pub status: String,
}

/// All models.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundationModels {
    /// By id.
    pub model_summaries: Vec<FoundationModel>,
}

/// One model.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundationModelDetails {
    /// It.
    pub model_details: FoundationModel,
}

/// A request that is not to be answered.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CountTokensRequest {
    /// It.
    pub input: CountTokensInput,
}

/// A request in one of two forms.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum CountTokensInput {
    /// That of `converse`: its `messages`, `system` and `toolConfig`.
    #[schema(value_type = Object)]
    Converse(Box<ConverseRequest>),
    /// That of `invoke`.
    InvokeModel(InvokeTokens),
}

/// The body of an invocation.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct InvokeTokens {
    /// In base64.
    pub body: String,
}

/// How many tokens the prompt has.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountTokensResponse {
    /// The number.
    pub input_tokens: u64,
}
