//! What the messages of AWS Bedrock's Converse API are made of.
//!
//! What may be one of several things is an object with one field, which names it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A part of a message; others (`document`, `video` and so on) are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ConverseBlock {
    /// Said.
    Text(String),
    /// Shown by the user to a model that sees.
    Image(ConverseImage),
    /// A tool is called.
    ToolUse(ConverseToolUse),
    /// What a tool gave.
    ToolResult(ConverseToolResult),
    /// Thought.
    ReasoningContent(ConverseReasoning),
    /// Passed over: whatever is computed is cached.
    #[schema(value_type = Object)]
    CachePoint(Value),
}

/// An image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConverseImage {
    /// What it claims to be; what it is is told by its bytes.
    pub format: ConverseImageFormat,
    /// Where it is.
    pub source: ConverseImageSource,
}

/// What images may claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConverseImageFormat {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// The first picture of it.
    Gif,
    /// WebP.
    Webp,
}

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ConverseImageSource {
    /// Here, as base64.
    Bytes(String),
    /// Refused: nothing is fetched from S3.
    #[schema(value_type = Object)]
    S3Location(Value),
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConverseToolUse {
    /// The result repeats it.
    pub tool_use_id: String,
    /// The tool.
    pub name: String,
    /// The arguments; empty where what the model wrote is no object, or was cut.
    #[schema(value_type = Object)]
    pub input: Value,
}

/// What a tool gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConverseToolResult {
    /// The call it answers.
    pub tool_use_id: String,
    /// The result.
    pub content: Vec<ConverseContent>,
}

/// A part of a tool's result; others (`image` and so on) are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ConverseContent {
    /// A text.
    Text(String),
    /// Data.
    Json(Value),
}

/// Thought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ConverseReasoning {
    /// In words.
    ReasoningText(ReasoningText),
    /// Passed over: no model here can read it.
    #[schema(value_type = String)]
    RedactedContent(Value),
}

/// Thought, in words; not signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReasoningText {
    /// The words.
    pub text: String,
}
