//! Threads and memory that take a group of inputs through all layers.
//!
//! Invariant: nothing of one group is left for the next.

use kernels::{
    Isa,
    attention::{BLOCK_SIZE, Plan},
    packed::Scratch,
    pool::Pool,
};

use super::{
    Precision,
    attention::AttentionBuffers,
    groups::{Span, num_rows},
    layer::{self, Buffers},
    weights::StackWeights,
};
use crate::spec::StackSpec;

/// What computes: threads, and their memory.
pub(super) struct Machine {
    pub(super) isa: Isa,
    pub(super) pool: Pool,
    pub(super) scratch: Scratch,
    pub(super) plan: Plan,
}

impl Machine {
    pub(super) fn parallel(&mut self) -> (Isa, &mut Pool, &mut Scratch) {
        (self.isa, &mut self.pool, &mut self.scratch)
    }
}

/// Threads that compute together, and their buffers.
pub(super) struct Lane {
    buffers: Buffers,
    attention: AttentionBuffers,
    pub(super) machine: Machine,
    max_rows: usize,
    /// Where the group's inputs are among its rows, and in the cache.
    places: Vec<Place>,
}

/// Where an input is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) first_row: usize,
    pub(super) num_rows: usize,
    /// First of its blocks of keys.
    pub(super) first_block: usize,
}

impl Lane {
    /// For groups of `max_rows`, and inputs of up to `max_len`, and for other products of rows of
    /// up to `widest` elements.
    pub(super) fn new(
        (spec, weights): (&StackSpec, &StackWeights),
        (max_rows, max_len): (usize, usize),
        (precision, isa): (Precision, Isa),
        (pool, widest): (Pool, usize),
    ) -> Self {
        let threads = pool.threads();
        Self {
            buffers: Buffers::new(spec, weights, max_rows),
            attention: AttentionBuffers::new(
                (spec, weights),
                (max_rows, max_len.min(max_rows)),
                (precision, isa, threads),
            ),
            machine: Machine {
                isa,
                pool,
                scratch: Scratch::new(threads, widest),
                plan: Plan::new(threads, (spec.head_dim(), 1), max_rows),
            },
            max_rows,
            places: Vec::new(),
        }
    }

    pub(super) fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// Memory that holds nothing between groups.
    pub(super) fn spare(&mut self, len: usize) -> (&mut [f32], &mut Machine) {
        (self.attention.spare(len), &mut self.machine)
    }

    /// Computes the rows of `spans`, which are `x`.
    pub(super) fn forward(
        &mut self,
        (spec, weights): (&StackSpec, &StackWeights),
        x: &mut [f32],
        spans: &[Span],
    ) {
        debug_assert_eq!(x.len(), num_rows(spans) * spec.hidden_size);
        self.place(spans);
        let Self { buffers, attention, machine, places, .. } = self;
        attention.set(places);
        for (i, weights) in weights.layers.iter().enumerate() {
            layer::forward((spec, i), (x, places), weights, (buffers, attention), machine);
        }
        if let Some(norm) = &weights.output_norm {
            layer::norm(norm, x, machine);
        }
    }

    fn place(&mut self, spans: &[Span]) {
        self.places.clear();
        let (mut first_row, mut first_block) = (0, 0);
        for Span { num_rows, .. } in spans.iter().copied() {
            self.places.push(Place { first_row, num_rows, first_block });
            (first_row, first_block) =
                (first_row + num_rows, first_block + num_rows.div_ceil(BLOCK_SIZE));
        }
    }
}
