//! The executor on our own CPU kernels: weights stay as stored, buffers are made once.
//!
//! Invariant: `forward` computes every row on its own (see `kernels`), so a row's hidden state
//! is the same, bit for bit, in every batch, chunk size and block layout.

mod buffers;
mod layer;
mod weights;

use engine_core::EngineError;
use kernels::{
    attention::{CacheLayout, Query},
    elementwise::rms_norm,
    matmul::{Product, matmul},
    quant::dequantize,
};
use rayon::{ThreadPool, prelude::*};

use self::{
    buffers::{Buffers, KvCache},
    weights::DecoderWeights,
};
use crate::{
    executors::{Batch, EachRow, Executor},
    spec::DecoderSpec,
    weights::{Weights, WeightsError},
};

/// Token positions per block: small enough to share prefixes finely, large enough that a block's
/// keys are a contiguous run.
const BLOCK_SIZE: usize = 16;
/// Rows whose logits are computed at a time; bounds the logits buffer.
const MAX_LOGIT_ROWS: usize = 32;

/// How to set the executor up.
#[derive(Clone, Copy, Debug)]
pub struct CpuOptions {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Bytes for keys and values of all layers; rounded down to whole blocks.
    pub kv_cache_bytes: usize,
    /// The most input tokens of a step.
    pub max_step_tokens: usize,
}

/// Why an executor could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum CpuError {
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
    /// The worker threads could not be started.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system says.
        source: rayon::ThreadPoolBuildError,
    },
}

/// Decoder, cache and buffers in memory.
pub struct CpuExecutor {
    spec: DecoderSpec,
    weights: DecoderWeights,
    inv_freq: Vec<f32>,
    cache: KvCache,
    buffers: Buffers,
    pool: ThreadPool,
}

impl CpuExecutor {
    /// Takes the decoder's tensors from `weights`.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen, memory for the cache is not to be had, or threads
    /// cannot be started.
    pub fn new(
        spec: DecoderSpec,
        weights: &Weights,
        options: CpuOptions,
    ) -> Result<Self, CpuError> {
        let decoder = DecoderWeights::load(&spec, weights)?;
        let threads = options.threads.max(1);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("cpu-{i}"))
            .build()
            .map_err(|source| CpuError::Threads { threads, source })?;
        let layout = CacheLayout {
            block_size: BLOCK_SIZE,
            num_kv_heads: spec.num_kv_heads,
            head_dim: spec.head_dim,
        };
        let wanted = options.kv_cache_bytes;
        let cache = KvCache::new(layout, spec.num_layers, wanted).map_err(|needed| {
            if needed > wanted {
                CpuError::CacheTooSmall { wanted, needed }
            } else {
                CpuError::OutOfMemory { needed }
            }
        })?;
        let max_rows = options.max_step_tokens.max(1);
        let buffers = Buffers::new(&spec, max_rows, MAX_LOGIT_ROWS);
        let inv_freq = spec.rope.inv_freq();
        Ok(Self { spec, weights: decoder, inv_freq, cache, buffers, pool })
    }
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
        let Self { spec, weights, inv_freq, cache, buffers, pool } = self;
        let rows = batch.tokens.len();
        let hidden = spec.hidden_size;
        let embedding = weights.embedding.matrix();
        let row_bytes = embedding.data.len() / embedding.rows;
        for (token, x) in batch.tokens.iter().zip(buffers.x.chunks_exact_mut(hidden)) {
            let at = *token as usize * row_bytes;
            dequantize(embedding.dtype, &embedding.data[at..at + row_bytes], x);
        }
        let mut queries = Vec::with_capacity(rows);
        for span in &batch.spans {
            let blocks = &batch.blocks[span.first_block..span.first_block + span.num_blocks];
            let positions = &batch.positions[span.first_row..span.first_row + span.num_rows];
            queries.extend(positions.iter().map(|p| Query { blocks, position: *p as usize }));
        }
        buffers.set_rotations(inv_freq, &batch.positions);
        pool.install(|| {
            for (layer, kv) in weights.layers.iter().zip(&mut cache.layers) {
                let step = layer::Step { spec, layout: cache.layout, queries: &queries };
                layer::forward(&step, layer, kv, buffers);
            }
        });
        Ok(())
    }

    fn logits(&mut self, rows: &[usize], each: &EachRow<'_>) -> Result<(), EngineError> {
        let Self { spec, weights, buffers, pool, .. } = self;
        let (hidden, vocab) = (spec.hidden_size, spec.vocab_size);
        let gathered = &mut buffers.gathered[..rows.len() * hidden];
        for (row, to) in rows.iter().zip(gathered.chunks_exact_mut(hidden)) {
            let x = &buffers.x[row * hidden..(row + 1) * hidden];
            rms_norm(x, &weights.output_norm, spec.norm_eps, to);
        }
        let out = &mut buffers.logits[..rows.len() * vocab];
        let weight = weights.output.matrix();
        pool.install(|| {
            matmul(gathered, rows.len(), &mut [Product { weight, out: &mut *out }]);
            out.par_chunks_mut(vocab).enumerate().for_each(|(i, logits)| each(i, logits));
        });
        Ok(())
    }
}
