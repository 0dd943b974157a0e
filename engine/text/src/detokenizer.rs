//! Turns tokens into text as they come. Invariant: the pieces joined equal the decoding of all
//! tokens at once, and no piece ends inside a character.

use std::sync::Arc;

use crate::TextModel;

/// The incremental detokenizer of one choice.
#[derive(Debug, Clone)]
pub struct Detokenizer {
    model: Arc<TextModel>,
    skip_special_tokens: bool,
    /// Bytes of a character that is not complete yet.
    pending: Vec<u8>,
    /// Some text came before, so a leading space is a space and not the start marker.
    started: bool,
}

impl Detokenizer {
    /// Starts after `prompt_tail`, the last tokens of the prompt: they are not given out again, but
    /// decide whether the first space belongs to the text, and may hold the start of a character.
    /// An empty tail decodes as [`TextModel::decode`] does.
    pub fn new(model: Arc<TextModel>, skip_special_tokens: bool, prompt_tail: &[u32]) -> Self {
        let mut this = Self { model, skip_special_tokens, pending: Vec::new(), started: false };
        for &token in prompt_tail {
            this.push(token);
        }
        this
    }

    /// The text that `token` completes; empty while a character is incomplete.
    pub fn push(&mut self, token: u32) -> String {
        let Some(mut piece) = self.model.pieces().shown(token, self.skip_special_tokens) else {
            return String::new();
        };
        if !self.started && !piece.is_empty() {
            self.started = true;
            piece = self.model.pieces().without_start_marker(piece);
        }
        self.pending.extend_from_slice(piece);
        self.take_complete()
    }

    /// What is left at the end: a cut character becomes U+FFFD.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }

    fn take_complete(&mut self) -> String {
        let mut text = String::new();
        let mut used = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            used += chunk.valid().len();
            let invalid = chunk.invalid();
            let may_continue = used + invalid.len() == self.pending.len()
                && std::str::from_utf8(invalid).is_err_and(|err| err.error_len().is_none());
            if may_continue {
                break;
            }
            if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
                used += invalid.len();
            }
        }
        self.pending.drain(..used);
        text
    }
}
