//! Executors of the one declared decoder.
//!
//! Invariant: an executor knows spec, weights and cache memory, and nothing of requests or
//! sampling; all executors give the same answers to the same batch.

pub mod cpu;

use std::sync::Arc;

use engine_core::{CacheGroups, EngineError, Inset};

use crate::adapters::Lora;

/// The positions to compute in one step, flattened over sequences.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Input tokens of all spans, one after another.
    pub tokens: Vec<u32>,
    /// The position of each token in its own sequence.
    pub positions: Vec<u32>,
    /// Block tables of all spans, one after another; of each those of all groups of layers.
    pub blocks: Vec<u32>,
    /// The sequences.
    pub spans: Vec<Span>,
    /// Rows in place of the embeddings of these rows, each run with the first row that has one.
    pub insets: Vec<(usize, Inset)>,
    /// Spans that are computed with an adapter, in order, by their number.
    pub adapters: Vec<(usize, Arc<Lora>)>,
}

/// One sequence's share of a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// First of its rows in [`Batch::tokens`].
    pub first_row: usize,
    /// Number of its rows.
    pub num_rows: usize,
    /// First of its blocks in [`Batch::blocks`].
    pub first_block: usize,
    /// Number of its blocks in each group.
    pub num_blocks: usize,
}

impl Batch {
    /// A span's blocks in one group, in order of position.
    pub fn table(&self, span: &Span, group: usize) -> &[u32] {
        &self.blocks[span.first_block + group * span.num_blocks..][..span.num_blocks]
    }
}

/// Runs the decoder.
pub trait Executor: Send {
    /// Token positions per cache block.
    fn block_size(&self) -> usize;

    /// Blocks in the cache.
    fn num_blocks(&self) -> usize;

    /// The most rows that one [`forward`](Self::forward) takes.
    fn max_rows(&self) -> usize;

    /// The most rows that one [`logits`](Self::logits) takes.
    fn max_logit_rows(&self) -> usize;

    /// Which groups of layers have blocks of their own. Blocks that windowed ones do not reach may
    /// be another sequence's.
    fn groups(&self) -> CacheGroups {
        CacheGroups::WHOLE
    }

    /// Whether it computes with this adapter; one that does not knows of none.
    fn takes(&self, adapter: &Lora) -> bool {
        let _ = adapter;
        false
    }

    /// How wide rows in place of embeddings must be; 0 where there can be none.
    fn embedding_width(&self) -> usize {
        0
    }

    /// Computes all layers for the batch: writes keys and values of its rows into the cache and
    /// keeps the rows' hidden states until the next call. The engine has checked the batch.
    ///
    /// # Errors
    /// If the device fails.
    fn forward(&mut self, batch: &Batch) -> Result<(), EngineError>;

    /// Computes the logits of the given rows of the last batch and hands each row to `each`, with
    /// its place in `rows`, on whatever threads the executor has.
    ///
    /// # Errors
    /// If the device fails.
    fn logits(&mut self, rows: &[usize], each: &EachRow<'_>) -> Result<(), EngineError>;
}

/// Takes one row of logits, `vocab_size` long, which it may overwrite.
pub type EachRow<'a> = dyn Fn(usize, &mut [f32]) + Sync + 'a;
