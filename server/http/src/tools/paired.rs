//! Calls and results of a chat that do not go together, whichever API it came by.
//!
//! Invariant: past this check each result answers a call of the assistant's message before it, and
//! each call that has an id has a result right after it.

use std::collections::HashMap;

use server_api::{ChatMessage, Role};

use super::checked::clip;
use crate::ApiError;

/// As many ids as an error names.
const MAX_SHOWN: usize = 8;

/// What goes with nothing, by its place in the chat. Each API has its own words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unpaired {
    /// Calls of this message, without results.
    Calls { message: usize, ids: Vec<String> },
    /// The result that this message is, without a call.
    Result { message: usize, id: String },
}

impl Unpaired {
    /// The ids, as errors name them.
    pub(crate) fn ids(&self) -> String {
        let ids = match self {
            Self::Calls { ids, .. } => ids.as_slice(),
            Self::Result { id, .. } => std::slice::from_ref(id),
        };
        let shown: Vec<&str> = ids.iter().take(MAX_SHOWN).map(|id| clip(id)).collect();
        let more = if ids.len() > MAX_SHOWN { ", …" } else { "" };
        format!("{}{more}", shown.join(", "))
    }

    /// In OpenAI's words.
    fn error(self) -> ApiError {
        let (param, message) = match &self {
            Self::Calls { message, .. } => (
                format!("messages[{message}].tool_calls"),
                format!(
                    "An assistant message with 'tool_calls' must be followed by tool messages \
                     responding to each 'tool_call_id'. The following tool_call_ids did not have \
                     response messages: {}",
                    self.ids()
                ),
            ),
            Self::Result { message, .. } => (
                format!("messages[{message}].tool_call_id"),
                format!(
                    "Messages with role 'tool' must be a response to a preceding message with \
                     'tool_calls'. The assistant's message before it has no call with the \
                     following tool_call_id: {}",
                    self.ids()
                ),
            ),
        };
        ApiError::invalid(Some(&param), message).of(self)
    }
}

/// An assistant's message: its calls, and which of them have a result.
#[derive(Default)]
struct Turn<'a> {
    message: usize,
    called: Vec<&'a str>,
    is_answered: HashMap<&'a str, bool>,
}

impl<'a> Turn<'a> {
    fn of(place: usize, message: &'a ChatMessage) -> Self {
        let calls = message.tool_calls.iter().flatten();
        let calls = calls.filter(|_| message.role == Role::Assistant);
        let called: Vec<&str> = calls.filter_map(|call| call.get("id")?.as_str()).collect();
        let is_answered = called.iter().map(|id| (*id, false)).collect();
        Self { message: place, called, is_answered }
    }

    /// Notes a result; whether there is such a call.
    fn answer(&mut self, id: &str) -> bool {
        self.is_answered.get_mut(id).map(|is_answered| *is_answered = true).is_some()
    }

    /// Nothing more answers it.
    fn end(self) -> Result<(), ApiError> {
        let ids = self.called.iter().filter(|id| !self.is_answered[*id]);
        let ids: Vec<String> = ids.map(|id| (*id).to_owned()).collect();
        match ids.is_empty() {
            true => Ok(()),
            false => Err(Unpaired::Calls { message: self.message, ids }.error()),
        }
    }
}

/// Checks every message.
pub(super) fn check(messages: &[ChatMessage]) -> Result<(), ApiError> {
    let mut turn = Turn::default();
    for (idx, message) in messages.iter().enumerate() {
        if message.role != Role::Tool {
            std::mem::replace(&mut turn, Turn::of(idx, message)).end()?;
            continue;
        }
        let id = message.tool_call_id.as_deref();
        let id = id.ok_or_else(|| ApiError::missing(&format!("messages[{idx}].tool_call_id")))?;
        if !turn.answer(id) {
            return Err(Unpaired::Result { message: idx, id: id.to_owned() }.error());
        }
    }
    turn.end()
}
