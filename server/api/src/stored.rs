//! Lists, conversations and deletions: what is common to things that are kept.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::Metadata;

/// A page of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct List {
    /// Always `list`.
    pub object: String,
    /// What is on the page.
    #[schema(value_type = Vec<Object>)]
    pub data: Vec<Value>,
    /// The id of the first; null on an empty page.
    pub first_id: Option<String>,
    /// The id of the last, which the next page comes after; null on an empty page.
    pub last_id: Option<String>,
    /// Whether there is another page.
    pub has_more: bool,
}

/// Something that was deleted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Deleted {
    /// What it was.
    pub id: String,
    /// `response`, `conversation.deleted` or `chat.completion.deleted`.
    pub object: String,
    /// Always true.
    pub deleted: bool,
}

/// A conversation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    /// `conv_…`
    pub id: String,
    /// Always `conversation`.
    pub object: String,
    /// Unix time in seconds.
    pub created_at: u64,
    /// Notes on it.
    #[schema(value_type = Object)]
    pub metadata: Metadata,
}

/// A request for a new conversation.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ConversationRequest {
    /// Its first items; at most 20.
    #[schema(value_type = Option<Vec<Object>>)]
    pub items: Option<Vec<Value>>,
    /// Notes on it.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Metadata>,
}

/// Items to add to a conversation.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ConversationItems {
    /// At most 20.
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<Value>,
}

/// New notes on something that is kept.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct MetadataUpdate {
    /// They replace those before, all of them: `{}` leaves none, as null does.
    // So that it must be there, though it may be null.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true, value_type = Option<Object>)]
    pub metadata: Option<Metadata>,
}
