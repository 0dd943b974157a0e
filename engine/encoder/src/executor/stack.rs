//! The layers: from rows to rows, whatever the rows stand for.
//!
//! Invariant: every row is computed on its own but for attention, which stays within its input,
//! and kernels give a row the same result whatever rows are beside it: an input's rows are the
//! same, bit for bit, alone and in every batch. A batch allocates nothing.

use engine_weights::Weights;
use kernels::{
    Isa,
    attention::{BLOCK_SIZE, Plan},
    packed::Scratch,
    pool::Pool,
};

use super::{
    EncoderError, EncoderOptions, Machine, Precision,
    attention::AttentionBuffers,
    batch::{Span, max_blocks, num_rows},
    layer::{self, Buffers},
    weights::StackWeights,
};
use crate::spec::StackSpec;

/// Layers and buffers in memory.
pub struct Stack {
    pub(super) spec: StackSpec,
    weights: StackWeights,
    buffers: Buffers,
    attention: AttentionBuffers,
    pub(super) machine: Machine,
    max_rows: usize,
    spans: Vec<Span>,
}

impl Stack {
    /// Takes the layers' tensors of `weights`. Its threads may compute other products too, of rows
    /// of up to `widest` elements.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen, memory for weights is not to be had, or threads cannot
    /// be started.
    pub fn new(
        spec: &StackSpec,
        weights: &Weights,
        options: &EncoderOptions,
        widest: usize,
    ) -> Result<Self, EncoderError> {
        Isa::check_forced().map_err(EncoderError::Isa)?;
        let isa = Isa::detect();
        let threads = options.threads.max(1);
        let mut pool =
            Pool::new(threads).map_err(|source| EncoderError::Threads { threads, source })?;
        let mut weights = StackWeights::load(spec, weights)?;
        if options.precision == Precision::Fast {
            let path = options.packed.as_deref();
            weights.pack(path, (isa, &mut pool)).map_err(EncoderError::Packing)?;
        }
        let max_rows = options.max_batch_tokens.max(1);
        let widest = widest.max(spec.hidden_size).max(spec.feed_forward.width);
        Ok(Self {
            buffers: Buffers::new(spec, &weights, max_rows),
            attention: AttentionBuffers::new(
                (spec, &weights),
                (max_rows, spec.max_input_len.min(max_rows)),
                (options.precision, isa),
            ),
            spec: spec.clone(),
            weights,
            machine: Machine {
                isa,
                pool,
                scratch: Scratch::new(threads, widest),
                plan: Plan::new(threads, (spec.head_dim(), 1), max_rows),
            },
            max_rows,
            spans: Vec::with_capacity(max_blocks(max_rows)),
        })
    }

    /// Computes inputs, which lie one after another in the residual stream `x`, in place: `lens`
    /// rows each.
    ///
    /// # Panics
    /// If `x` is not so many rows, or they are more than a batch has; if an input is empty or
    /// longer than the spec's longest.
    pub fn run(&mut self, x: &mut [f32], lens: &[usize]) {
        let hidden = self.spec.hidden_size;
        assert_eq!(x.len(), lens.iter().sum::<usize>() * hidden, "rows of all inputs");
        let longest = self.spec.max_input_len;
        assert!(lens.iter().all(|len| (1..=longest).contains(len)), "an input's rows");
        assert!(x.len() <= self.max_rows * hidden, "more rows than a batch has");
        let mut spans = std::mem::take(&mut self.spans);
        let mut rest = x;
        let mut lens = lens.iter().copied().peekable();
        while lens.peek().is_some() {
            spans.clear();
            let (mut first_row, mut first_block) = (0, 0);
            // Short inputs may take more blocks than there are: those go in turn.
            let fits = |len: &usize, first: usize| {
                first + len.div_ceil(BLOCK_SIZE) <= max_blocks(self.max_rows)
            };
            while let Some(num_rows) = lens.next_if(|len| fits(len, first_block)) {
                spans.push(Span { first_row, num_rows, first_block });
                first_row += num_rows;
                first_block += num_rows.div_ceil(BLOCK_SIZE);
            }
            let (now, later) = rest.split_at_mut(first_row * hidden);
            self.forward(now, &spans);
            rest = later;
        }
        self.spans = spans;
    }

    /// Threads and instruction set, for what is computed before the layers and after them.
    pub fn parallel(&mut self) -> (Isa, &mut Pool, &mut Scratch) {
        let Machine { isa, pool, scratch, .. } = &mut self.machine;
        (*isa, pool, scratch)
    }

    /// Memory that holds nothing between batches.
    pub(super) fn spare(&mut self, len: usize) -> (&mut [f32], &mut Machine) {
        (self.attention.spare(len), &mut self.machine)
    }

    /// Computes the rows of `spans`, which are `x`.
    pub(super) fn forward(&mut self, x: &mut [f32], spans: &[Span]) {
        let Self { spec, weights, buffers, attention, machine, .. } = self;
        debug_assert_eq!(x.len(), num_rows(spans) * spec.hidden_size);
        attention.set(spans);
        for (i, weights) in weights.layers.iter().enumerate() {
            layer::forward((spec, i), (x, spans), weights, (buffers, attention), machine);
        }
        if let Some(norm) = &weights.output_norm {
            layer::norm(norm, x, machine);
        }
    }
}
