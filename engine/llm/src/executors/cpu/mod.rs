//! The executor on our own CPU kernels: weights packed once, buffers made once, no allocation in
//! a step.
//!
//! Invariant: `forward` computes every row on its own (see `kernels`), so a row's hidden state
//! is the same, bit for bit, in every batch, chunk size and block layout.

mod adapters;
mod attention;
mod buffers;
mod cache;
mod error;
mod experts;
mod feed_forward;
mod groups;
mod latent;
mod layer;
mod linear;
mod needs;
mod options;
mod rotations;
mod weights;

use engine_core::{CacheGroups, EngineError};
use kernels::{
    Isa,
    activation::softcap,
    attention::{BLOCK_SIZE, Plan, Run},
    elementwise::{add_scaled, gather},
    norm::norm_vectors,
    packed::{Scratch, norm_rows},
    pool::Pool,
};

pub(crate) use self::experts::MAX_ACTIVE;
pub use self::{cache::kv_cache_bytes, error::CpuError, needs::Needs};
pub use kernels::attention::KvDtype;

/// How keys and values are best stored on this machine.
pub fn fastest_kv_dtype() -> KvDtype {
    KvDtype::fastest(Isa::detect())
}

use self::{
    adapters::{LayerAdapters, MAX_TARGETS, StepAdapters},
    attention::cut_into_chunks,
    buffers::Buffers,
    cache::{KvCache, KvShape},
    layer::Machine,
    linear::project,
    rotations::Rotations,
    weights::DecoderWeights,
};
use crate::{
    adapters::{Lora, Shape},
    executors::{Batch, EachRow, Executor},
    spec::DecoderSpec,
    weights::{Tensor, Weights, memory},
};

/// Rows whose logits are computed at a time; bounds the logits buffer.
const MAX_LOGIT_ROWS: usize = 32;

pub use self::options::{CpuOptions, Precision};

/// Decoder, cache and buffers in memory.
pub struct CpuExecutor {
    spec: DecoderSpec,
    weights: DecoderWeights,
    rotations: Vec<Rotations>,
    cache: KvCache,
    buffers: Buffers,
    machine: Machine,
    adapters: StepAdapters,
    /// What adapters must fit, and their greatest rank.
    takes: (Shape, usize),
    /// Kept for their memory only.
    runs: [Vec<Run<'static>>; 2],
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
        Self::within(memory::available(), (spec, weights), options)
    }

    /// The same with so many bytes of memory, or as many as are asked for.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn within(
        available: Option<u64>,
        (spec, weights): (DecoderSpec, &Weights),
        options: CpuOptions,
    ) -> Result<Self, CpuError> {
        Isa::check_forced().map_err(CpuError::Isa)?;
        let mut decoder = DecoderWeights::load(&spec, weights)?;
        let shape = KvShape::of(&spec, options.kv_dtype);
        Needs::of(&spec, &mut decoder, (&shape, &options)).check(available)?;
        let threads = options.threads.max(1);
        let mut pool =
            Pool::new(threads).map_err(|source| CpuError::Threads { threads, source })?;
        if options.precision == Precision::Fast {
            decoder.pack(options.packed.as_deref(), &mut pool).map_err(CpuError::Packing)?;
        }
        let cache = KvCache::new(shape, options.kv_cache_bytes)?;
        let max_rows = options.max_step_tokens.max(1);
        let rank = options.max_adapter_rank;
        let isa = Isa::detect();
        let rows = (max_rows, rank > 0);
        let buffers = Buffers::new(&spec, &decoder, rows, MAX_LOGIT_ROWS, (isa, threads));
        let attention = &spec.attention;
        let heads = (attention.head_dim, attention.num_heads / attention.num_kv_heads);
        let machine = Machine {
            isa,
            pool,
            scratch: Scratch::new(threads, widest(&spec)),
            plan: Plan::new(threads, heads, max_rows),
            low_rank: vec![0.0; MAX_TARGETS * max_rows * rank],
        };
        let adapters = StepAdapters::new(max_rows);
        let takes = (Shape::of(&spec), rank);
        let rotations = spec.ropes.iter().map(|rope| Rotations::new(rope, max_rows)).collect();
        Ok(Self {
            spec,
            weights: decoder,
            rotations,
            cache,
            buffers,
            machine,
            adapters,
            takes,
            runs: Default::default(),
        })
    }

    /// What an executor will take of the memory.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn needs(
        spec: &DecoderSpec,
        weights: &Weights,
        options: &CpuOptions,
    ) -> Result<Needs, CpuError> {
        let mut decoder = DecoderWeights::load(spec, weights)?;
        let shape = KvShape::of(spec, options.kv_dtype);
        Ok(Needs::of(spec, &mut decoder, (&shape, options)))
    }

    /// The last hidden state of one row of the last batch, normed as the output head sees it.
    ///
    /// # Panics
    /// If `to` is not `hidden_size` long, or the batch had no such row.
    pub fn hidden(&mut self, row: usize, to: &mut [f32]) {
        let Self { spec, weights, buffers, machine, .. } = self;
        let width = spec.hidden_size;
        to.copy_from_slice(&buffers.x[row * width..(row + 1) * width]);
        let parallel = (machine.isa, &mut machine.pool);
        norm_vectors(parallel, to, (width, width), &weights.output_norm.rule());
    }
}

/// The most inputs of any matrix.
fn widest(spec: &DecoderSpec) -> usize {
    let latent = spec.attention.latent.as_ref();
    let ranks = latent.map_or(0, |l| l.kv_rank.max(l.nope_dim).max(l.q_rank.unwrap_or(0)));
    let experts = spec.experts.as_ref();
    let experts = experts.map_or(0, |e| e.expert.width.max(e.shared_width.unwrap_or(0)));
    let all = [spec.attention.out_width(), spec.feed_forward.width, ranks, experts];
    all.into_iter().fold(spec.hidden_size, usize::max)
}

/// The memory of an empty list, for elements that live differently long.
fn reused<'a>(mut runs: Vec<Run<'_>>) -> Vec<Run<'a>> {
    runs.clear();
    // Collected in place.
    runs.into_iter().map(|run| Run { blocks: &[], ..run }).collect()
}

/// Reads rows of a stored table.
fn read_rows(machine: &mut Machine, table: &Tensor, ids: &[u32], to: &mut [f32]) {
    let [rows, width] = table.shape()[..] else { unreachable!("checked when it was loaded") };
    let row_bytes = table.bytes().len() / rows;
    let table = (table.dtype(), table.bytes(), row_bytes);
    gather((machine.isa, &mut machine.pool), table, ids, (to, width));
}

impl Executor for CpuExecutor {
    fn block_size(&self) -> usize {
        BLOCK_SIZE
    }

    fn num_blocks(&self) -> usize {
        self.cache.num_blocks()
    }

    fn max_rows(&self) -> usize {
        self.buffers.max_rows
    }

    fn max_logit_rows(&self) -> usize {
        MAX_LOGIT_ROWS
    }

    fn groups(&self) -> CacheGroups {
        self.cache.groups()
    }

    fn takes(&self, adapter: &Lora) -> bool {
        let (shape, max_rank) = &self.takes;
        adapter.fits(shape) && adapter.max_rank() <= *max_rank
    }

    fn embedding_width(&self) -> usize {
        self.spec.hidden_size
    }

    fn forward(&mut self, batch: &Batch) -> Result<(), EngineError> {
        let Self { spec, weights, rotations, cache, buffers, machine, adapters, runs, .. } = self;
        adapters.set(batch);
        let rows = batch.tokens.len();
        let hidden = spec.hidden_size;
        let x = &mut buffers.x[..rows * hidden];
        read_rows(machine, &weights.embedding, &batch.tokens, x);
        if spec.embedding.scale != 1.0 {
            let scale = spec.embedding.scale;
            add_scaled((machine.isa, &mut machine.pool), (&mut *x, hidden), None, scale);
        }
        for (row, inset) in &batch.insets {
            x[row * hidden..][..inset.numbers().len()].copy_from_slice(inset.numbers());
        }
        if let Some(positions) = &weights.positions {
            let learned = &mut buffers.branch[..rows * hidden];
            read_rows(machine, positions, &batch.positions, learned);
            add_scaled((machine.isa, &mut machine.pool), (x, hidden), Some(learned), 1.0);
        }
        rotations.iter_mut().for_each(|rotations| rotations.set(&batch.positions));
        let [mut all, mut chunks] = std::mem::take(runs).map(reused);
        let num_groups = cache.groups().count() as usize;
        for group in 0..num_groups {
            all.extend(batch.spans.iter().map(|span| Run {
                blocks: batch.table(span, group),
                position: batch.positions[span.first_row] as usize,
                num_rows: span.num_rows,
                first_row: span.first_row,
            }));
        }
        if let Some(chunk) = spec.attention.chunk {
            cut_into_chunks(&all, chunk, &mut chunks);
        }
        for (i, (layer, weights)) in spec.layers.iter().zip(&weights.layers).enumerate() {
            let (group, mut cache) = cache.layer(i);
            let [runs, chunks] = [&all, &chunks].map(|runs| {
                let each = runs.len() / num_groups;
                &runs[group * each..][..each]
            });
            let adapters = LayerAdapters { all: adapters, layer: i };
            let step = layer::Step { spec, runs, chunks, rotations, rows, adapters };
            layer::forward((&step, layer), weights, &mut cache, buffers, machine);
        }
        adapters.clear();
        *runs = [reused(all), reused(chunks)];
        Ok(())
    }

    fn logits(&mut self, rows: &[usize], each: &EachRow<'_>) -> Result<(), EngineError> {
        let Self { spec, weights, buffers: b, machine, .. } = self;
        let (hidden, vocab) = (spec.hidden_size, spec.vocab_size);
        let last = &mut b.last[..rows.len() * hidden];
        for (row, to) in rows.iter().zip(last.chunks_exact_mut(hidden)) {
            to.copy_from_slice(&b.x[row * hidden..(row + 1) * hidden]);
        }
        let norm = weights.output_norm.rule();
        let parallel = (machine.isa, &mut machine.pool);
        norm_rows(parallel, last, &norm, rows.len(), &mut b.last_normed);
        let out = &mut b.logits[..rows.len() * vocab];
        let head = (&weights.output, &mut *out, false);
        project(machine, &mut b.last_normed, rows.len(), [head]);
        if spec.head.scale != 1.0 {
            let parallel = (machine.isa, &mut machine.pool);
            add_scaled(parallel, (&mut *out, vocab), None, spec.head.scale);
        }
        if let Some(cap) = spec.head.softcap {
            softcap((machine.isa, &mut machine.pool), (&mut *out, vocab), cap);
        }
        machine.pool.run_chunks(out, vocab, &|i, logits| each(i, logits));
        Ok(())
    }
}
