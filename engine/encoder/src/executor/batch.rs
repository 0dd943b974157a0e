//! The inputs of a batch, flattened: their tokens one after another, and where each begins.
//!
//! Invariant: what is set here has been checked: ids are rows of their tables, lengths fit the
//! buffers.

use std::sync::Arc;

use engine_core::{EncodeInput, EncoderInfo, EngineError};

use super::groups::Span;
use crate::spec::{EncoderSpec, PositionsSpec};

/// The tokens to compute.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) tokens: Vec<u32>,
    /// Rows of the table of learned positions.
    pub(super) positions: Vec<u32>,
    pub(super) types: Vec<u32>,
    pub(super) spans: Vec<Span>,
}

/// Refuses what cannot be computed.
pub(super) fn check(
    info: &EncoderInfo,
    token_types: usize,
    inputs: &[Arc<EncodeInput>],
) -> Result<(), EngineError> {
    let mut total = 0;
    for (i, input) in inputs.iter().enumerate() {
        let refuse = |what: String| Err(EngineError::InvalidStep(format!("input {i}: {what}")));
        let len = input.tokens.len();
        total += len;
        if len == 0 {
            return refuse("has no tokens".into());
        }
        if len > info.max_input_len {
            return refuse(format!("{len} tokens; {} are the most", info.max_input_len));
        }
        if let Some(id) = input.tokens.iter().find(|id| **id as usize >= info.vocab_size) {
            return refuse(format!("token {id} is not below {}", info.vocab_size));
        }
        if !input.type_ids.is_empty() && input.type_ids.len() != len {
            return refuse(format!("{} token types for {len} tokens", input.type_ids.len()));
        }
        let above = |id: &&u8| token_types > 0 && usize::from(**id) >= token_types;
        if let Some(id) = input.type_ids.iter().find(above) {
            return refuse(format!("token type {id} is not below {token_types}"));
        }
        if input.not_pooled >= len {
            return refuse(format!("of {len} tokens, {} are not pooled", input.not_pooled));
        }
    }
    match total > info.max_batch_tokens {
        true => {
            let most = info.max_batch_tokens;
            Err(EngineError::InvalidStep(format!("{total} tokens; {most} are the most")))
        }
        false => Ok(()),
    }
}

impl Batch {
    pub(super) fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// Takes the checked `inputs`.
    pub(super) fn set(&mut self, spec: &EncoderSpec, inputs: &[Arc<EncodeInput>]) {
        self.tokens.clear();
        self.positions.clear();
        self.types.clear();
        self.spans.clear();
        for input in inputs {
            let (first_row, num_rows) = (self.tokens.len(), input.tokens.len());
            self.tokens.extend_from_slice(&input.tokens);
            if let Some(positions) = &spec.embedding.positions {
                self.number(positions, &input.tokens);
            }
            if spec.embedding.token_types > 0 {
                self.types.extend(input.type_ids.iter().map(|id| u32::from(*id)));
                self.types.resize(first_row + num_rows, 0);
            }
            self.spans.push(Span { first_row, num_rows });
        }
    }

    /// Numbers an input's tokens.
    fn number(&mut self, spec: &PositionsSpec, tokens: &[u32]) {
        let mut next = spec.first() as u32;
        self.positions.extend(tokens.iter().map(|token| match spec.pad {
            Some(pad) if *token == pad => pad,
            _ => {
                next += 1;
                next - 1
            }
        }));
    }
}
