//! Every limit of the store in one place.

use std::time::Duration;

/// What a tenant may keep, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long things are kept: responses and completions after they were made, conversations
    /// after they were last added to.
    pub retention: Duration,
    /// How long lines of the ledger are kept, seven days at least; `None`: until somebody deletes
    /// them.
    pub ledger_retention: Option<Duration>,
    /// Bytes of one response, completion or item.
    pub max_object_bytes: u64,
    /// Items of a conversation.
    pub max_conversation_items: u64,
    /// Responses that follow each other by `previous_response_id`.
    pub max_chain: u32,
    /// Bytes of a chain or conversation that are read at once.
    pub max_context_bytes: u64,
    /// Rows of a tenant: responses, completions, conversations and their items.
    pub max_rows: u64,
    /// Bytes of a tenant.
    pub max_bytes: u64,
    /// For a call to be done, waiting included: a disk that hangs must not hang a request.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(30 * 86_400),
            ledger_retention: None,
            max_object_bytes: 16 << 20,
            max_conversation_items: 10_000,
            max_chain: 1_000,
            max_context_bytes: 16 << 20,
            max_rows: 1_000_000,
            max_bytes: 4 << 30,
            timeout: Duration::from_secs(10),
        }
    }
}
