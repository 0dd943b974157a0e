//! What answers call the tokens that they score.
//!
//! Invariant: as keys, tokens of different bytes have different names.

use std::sync::Arc;

use engine_core::TokenId;
use engine_text::TextModel;

use crate::source::Source;

/// What one request's answers call tokens.
pub(crate) struct TokenNames {
    text: Arc<TextModel>,
    /// Whether by their ids, as vLLM does where it is asked to.
    as_ids: bool,
}

impl TokenNames {
    pub(crate) fn of(source: &Source) -> Self {
        Self { text: Arc::clone(&source.model.text), as_ids: source.params.tokens_as_ids }
    }

    /// By their texts.
    pub(crate) fn texts(text: Arc<TextModel>) -> Self {
        Self { text, as_ids: false }
    }

    /// What is shown beside the token's bytes: its text, where parts of characters are U+FFFD.
    pub(crate) fn shown(&self, token: TokenId) -> String {
        match self.as_ids {
            true => by_id(token),
            false => self.text.token_text(token),
        }
    }

    /// What stands for the token alone: its text, or as OpenAI has it, its bytes written out where
    /// they are no text.
    pub(crate) fn key(&self, token: TokenId) -> String {
        match String::from_utf8(self.bytes(token)) {
            _ if self.as_ids => by_id(token),
            Ok(text) => text,
            Err(error) => format!("bytes:{}", error.as_bytes().escape_ascii()),
        }
    }

    /// The token's bytes.
    pub(crate) fn bytes(&self, token: TokenId) -> Vec<u8> {
        self.text.token_bytes(token)
    }
}

fn by_id(token: TokenId) -> String {
    format!("token_id:{token}")
}
