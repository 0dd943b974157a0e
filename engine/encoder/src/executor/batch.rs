//! The inputs of one pass, flattened: their tokens one after another, and where each begins.
//!
//! Invariant: what is set here has been checked: ids are rows of their tables, lengths fit the
//! buffers.

use std::sync::Arc;

use engine_core::{EncodeInput, EncoderInfo, EngineError};
use kernels::attention::BLOCK_SIZE;

use crate::spec::{EncoderSpec, PositionsSpec};

/// One input's share of a batch.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) first_row: usize,
    pub(super) num_rows: usize,
    /// First of its blocks of keys.
    pub(super) first_block: usize,
}

/// Rows of inputs that lie one after another.
pub(super) fn num_rows(spans: &[Span]) -> usize {
    spans.last().map_or(0, |span| span.first_row + span.num_rows)
}

/// Blocks of keys for so many rows; many short inputs take more than rows fill, and then go in
/// turn: as many inputs as there are rows would take sixteen times the blocks.
pub(super) fn max_blocks(max_rows: usize) -> usize {
    max_rows.div_ceil(BLOCK_SIZE) * 2
}

/// Rows for each thread whose activations stay in its cache: of MiniLM's, 128 take 2 MB in all, and
/// its weights, read again for so many, a twentieth of the time.
const NEAR_ROWS: usize = 128;

/// The tokens to compute.
pub(super) struct Batch {
    max_rows: usize,
    /// Rows beyond which nothing is added to a pass.
    near_rows: usize,
    max_blocks: usize,
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
    pub(super) fn new(max_rows: usize, threads: usize) -> Self {
        let max_blocks = max_blocks(max_rows);
        let ids = || Vec::with_capacity(max_rows);
        Self {
            max_rows,
            near_rows: max_rows.min(threads * NEAR_ROWS),
            max_blocks,
            tokens: ids(),
            positions: ids(),
            types: ids(),
            spans: Vec::with_capacity(max_blocks),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// Takes as many of the checked `inputs`, at least one, as stay in caches; says how many.
    pub(super) fn set(&mut self, spec: &EncoderSpec, inputs: &[Arc<EncodeInput>]) -> usize {
        self.tokens.clear();
        self.positions.clear();
        self.types.clear();
        self.spans.clear();
        let mut first_block = 0;
        for input in inputs {
            let (first_row, num_rows) = (self.tokens.len(), input.tokens.len());
            let blocks = num_rows.div_ceil(BLOCK_SIZE);
            let most = if first_row == 0 { self.max_rows } else { self.near_rows };
            if first_row + num_rows > most || first_block + blocks > self.max_blocks {
                break;
            }
            self.tokens.extend_from_slice(&input.tokens);
            if let Some(positions) = &spec.embedding.positions {
                self.number(positions, &input.tokens);
            }
            if spec.embedding.token_types > 0 {
                self.types.extend(input.type_ids.iter().map(|id| u32::from(*id)));
                self.types.resize(first_row + num_rows, 0);
            }
            self.spans.push(Span { first_row, num_rows, first_block });
            first_block += blocks;
        }
        self.spans.len()
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
