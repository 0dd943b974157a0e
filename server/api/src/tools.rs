//! Calls of functions, in chats.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A call of a function.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ToolCall {
    /// `call_…`; the message with the result repeats it.
    pub id: String,
    /// Always `function`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The function.
    pub function: FunctionCall,
}

/// A function's name and arguments.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FunctionCall {
    /// Which.
    pub name: String,
    /// JSON, as the model wrote it: it may be cut off, and may not fit the function.
    pub arguments: String,
}

/// What is new in a call.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ToolCallDelta {
    /// Which of the message's calls.
    pub index: u32,
    /// Only where the call begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `function`; only where the call begins.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The function.
    pub function: FunctionCallDelta,
}

/// What is new of a function's name and arguments.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FunctionCallDelta {
    /// Only where the call begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// To append.
    pub arguments: String,
}
