//! The executor on our own CPU kernels: weights packed once, buffers made once, no allocation in
//! a step.
//!
//! Invariant: `forward` computes every row on its own (see `kernels`), so a row's hidden state
//! is the same, bit for bit, in every batch, chunk size and block layout.

mod buffers;
mod layer;
mod packed;
mod weights;

use std::path::PathBuf;

use engine_core::EngineError;
use kernels::{
    Isa,
    attention::{BLOCK_SIZE, Cache, CacheLayout, Plan, Run},
    elementwise::gather,
    packed::{Scratch, norm_rows},
    pool::Pool,
};

pub use kernels::attention::KvDtype;

/// How keys and values are best stored on this machine.
pub fn fastest_kv_dtype() -> KvDtype {
    KvDtype::fastest(Isa::detect())
}

use self::{
    buffers::{Buffers, KvCache},
    layer::Machine,
    weights::DecoderWeights,
};
use crate::{
    executors::{Batch, EachRow, Executor},
    spec::DecoderSpec,
    weights::{Weights, WeightsError},
};

/// Rows whose logits are computed at a time; bounds the logits buffer.
const MAX_LOGIT_ROWS: usize = 32;

/// In which numbers products are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Activations in bytes for quantised weights, in 14 bits for floating-point ones, in two
    /// bfloat16s for those in bfloat16 on Intel's matrix unit.
    #[default]
    Fast,
    /// The dequantised mathematics in `f32`: slow, to compare with.
    Exact,
}

/// How to set the executor up.
#[derive(Clone, Debug)]
pub struct CpuOptions {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Bytes for keys and values of all layers; rounded down to whole blocks.
    pub kv_cache_bytes: usize,
    /// How keys and values are stored.
    pub kv_dtype: KvDtype,
    /// The most input tokens of a step.
    pub max_step_tokens: usize,
    /// In which numbers to compute.
    pub precision: Precision,
    /// Where packed weights are kept from one start to the next, if they are.
    pub packed: Option<PathBuf>,
}

/// Why an executor could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum CpuError {
    /// The environment asks for instructions that there are none of.
    #[error("{0}")]
    Isa(String),
    /// A tensor is missing or has the wrong shape or type.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Not even one block fits.
    #[error("a KV cache of {wanted} bytes holds nothing: one block takes {needed} bytes")]
    CacheTooSmall {
        /// Bytes asked for.
        wanted: usize,
        /// Bytes of one block.
        needed: usize,
    },
    /// The system does not give so much memory.
    #[error("there is no memory for a KV cache of {needed} bytes; ask for less")]
    OutOfMemory {
        /// Bytes asked for.
        needed: usize,
    },
    /// The system does not give memory for the packed weights.
    #[error("there is no memory for the weights: {0}")]
    Packing(std::io::Error),
    /// The worker threads could not be started.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Decoder, cache and buffers in memory.
pub struct CpuExecutor {
    spec: DecoderSpec,
    weights: DecoderWeights,
    inv_freq: Vec<f32>,
    cache: KvCache,
    buffers: Buffers,
    machine: Machine,
    /// Kept for its memory only.
    runs: Vec<Run<'static>>,
}

impl CpuExecutor {
    /// Takes the decoder's tensors from `weights`.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen, memory for weights or cache is not to be had, or
    /// threads cannot be started.
    pub fn new(
        spec: DecoderSpec,
        weights: &Weights,
        options: CpuOptions,
    ) -> Result<Self, CpuError> {
        Isa::check_forced().map_err(CpuError::Isa)?;
        let mut decoder = DecoderWeights::load(&spec, weights)?;
        let threads = options.threads.max(1);
        let mut pool =
            Pool::new(threads).map_err(|source| CpuError::Threads { threads, source })?;
        if options.precision == Precision::Fast {
            decoder.pack(options.packed.as_deref(), &mut pool).map_err(CpuError::Packing)?;
        }
        let layout = CacheLayout {
            num_layers: spec.num_layers,
            num_kv_heads: spec.num_kv_heads,
            head_dim: spec.head_dim,
            dtype: options.kv_dtype,
        };
        let wanted = options.kv_cache_bytes;
        let cache = KvCache::new(layout, wanted).map_err(|needed| {
            if needed > wanted {
                CpuError::CacheTooSmall { wanted, needed }
            } else {
                CpuError::OutOfMemory { needed }
            }
        })?;
        let max_rows = options.max_step_tokens.max(1);
        let buffers = Buffers::new(&spec, &decoder, max_rows, MAX_LOGIT_ROWS);
        let heads = (spec.head_dim, spec.num_heads / spec.num_kv_heads);
        let widest =
            spec.hidden_size.max(spec.intermediate_size).max(spec.num_heads * spec.head_dim);
        let machine = Machine {
            isa: Isa::detect(),
            pool,
            scratch: Scratch::new(threads, widest),
            plan: Plan::new(threads, heads, max_rows),
        };
        let inv_freq = spec.rope.inv_freq();
        Ok(Self { spec, weights: decoder, inv_freq, cache, buffers, machine, runs: Vec::new() })
    }
}

/// The memory of an empty list, for elements that live differently long.
fn reused<'a>(mut runs: Vec<Run<'_>>) -> Vec<Run<'a>> {
    runs.clear();
    // Collected in place.
    runs.into_iter().map(|run| Run { blocks: &[], ..run }).collect()
}

impl Executor for CpuExecutor {
    fn block_size(&self) -> usize {
        BLOCK_SIZE
    }

    fn num_blocks(&self) -> usize {
        self.cache.num_blocks
    }

    fn max_rows(&self) -> usize {
        self.buffers.max_rows
    }

    fn max_logit_rows(&self) -> usize {
        MAX_LOGIT_ROWS
    }

    fn forward(&mut self, batch: &Batch) -> Result<(), EngineError> {
        let Self { spec, weights, inv_freq, cache, buffers, machine, runs } = self;
        let rows = batch.tokens.len();
        let hidden = spec.hidden_size;
        let embedding = &weights.embedding;
        let row_bytes = embedding.bytes().len() / spec.vocab_size;
        let table = (embedding.dtype(), embedding.bytes(), row_bytes);
        let x = (&mut buffers.x[..rows * hidden], hidden);
        gather((machine.isa, &mut machine.pool), table, &batch.tokens, x);
        buffers.set_rotations(inv_freq, &batch.positions);
        let mut all = reused(std::mem::take(runs));
        all.extend(batch.spans.iter().map(|span| Run {
            blocks: &batch.blocks[span.first_block..span.first_block + span.num_blocks],
            position: batch.positions[span.first_row] as usize,
            num_rows: span.num_rows,
            first_row: span.first_row,
        }));
        let step = layer::Step { spec, runs: &all, rows };
        for (i, layer) in weights.layers.iter().enumerate() {
            let mut cache = Cache::new(cache.layout, i, &mut cache.memory);
            layer::forward(&step, layer, &mut cache, buffers, machine);
        }
        *runs = reused(all);
        Ok(())
    }

    fn logits(&mut self, rows: &[usize], each: &EachRow<'_>) -> Result<(), EngineError> {
        let Self { spec, weights, buffers: b, machine, .. } = self;
        let (hidden, vocab) = (spec.hidden_size, spec.vocab_size);
        let last = &mut b.last[..rows.len() * hidden];
        for (row, to) in rows.iter().zip(last.chunks_exact_mut(hidden)) {
            to.copy_from_slice(&b.x[row * hidden..(row + 1) * hidden]);
        }
        let norm = (&weights.output_norm[..], spec.norm_eps);
        let parallel = (machine.isa, &mut machine.pool);
        norm_rows(parallel, last, norm, rows.len(), &mut b.last_normed);
        let out = &mut b.logits[..rows.len() * vocab];
        let head = (&weights.output, &mut *out, false);
        layer::project(machine, &mut b.last_normed, rows.len(), [head]);
        machine.pool.run_chunks(out, vocab, &|i, logits| each(i, logits));
        Ok(())
    }
}
