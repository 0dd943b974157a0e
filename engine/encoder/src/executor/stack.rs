//! The layers: from rows to rows, whatever the rows stand for.
//!
//! Many inputs are cut into groups whose activations stay in a core's cache, and each thread takes
//! whole groups through all layers: none waits for another, nor reads what another wrote. A few
//! inputs, or a long one, are computed by all threads together. Invariant: every row is computed on
//! its own but for attention, which stays within its input, and kernels give a row the same result
//! whatever rows are beside it: an input's rows are the same, bit for bit, alone and in every
//! batch. Once lists have grown, a batch allocates nothing.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use engine_weights::Weights;
use kernels::{Isa, packed::Scratch, pool::Pool};

use super::{
    EncoderError, EncoderOptions, Precision,
    groups::{GROUP_ROWS, Groups, LANE_ROWS, Span, num_rows},
    lane::{Lane, Machine},
    weights::StackWeights,
};
use crate::spec::StackSpec;

/// What fills the given rows before the layers, with a lane's threads and memory.
pub(super) type Enter<'a> = dyn Fn(&mut Lane, Range<usize>, &mut [f32]) + Sync + 'a;

/// Layers and buffers in memory.
pub struct Stack {
    pub(super) spec: StackSpec,
    weights: StackWeights,
    /// All threads.
    together: Lane,
    /// A thread each; none if there is but one.
    apart: Vec<Mutex<Lane>>,
    groups: Groups,
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
        let longest = spec.max_input_len.min(options.max_batch_tokens.max(1));
        let widest = widest.max(spec.hidden_size).max(spec.feed_forward.width);
        let lane = |pool: Pool, rows| {
            Lane::new((spec, &weights), (rows, longest), (options.precision, isa), (pool, widest))
        };
        let alone = if threads > 1 { threads } else { 0 };
        Ok(Self {
            together: lane(pool, longest.max(threads * GROUP_ROWS).max(LANE_ROWS)),
            apart: (0..alone).map(|_| Mutex::new(lane(Pool::default(), LANE_ROWS))).collect(),
            groups: Groups::new(threads, spec.hidden_size),
            spans: Vec::new(),
            spec: spec.clone(),
            weights,
        })
    }

    /// Computes inputs, which lie one after another in the residual stream `x`, in place: `lens`
    /// rows each.
    ///
    /// # Panics
    /// If `x` is not so many rows; if an input is empty or longer than the spec's longest, or than
    /// a batch.
    pub fn run(&mut self, x: &mut [f32], lens: &[usize]) {
        let hidden = self.spec.hidden_size;
        assert_eq!(x.len(), lens.iter().sum::<usize>() * hidden, "rows of all inputs");
        let longest = self.together.max_rows().min(self.spec.max_input_len);
        assert!(lens.iter().all(|len| (1..=longest).contains(len)), "an input's rows");
        let mut spans = std::mem::take(&mut self.spans);
        spans.clear();
        spans.extend(lens.iter().scan(0, |next, len| {
            let first_row = *next;
            *next += len;
            Some(Span { first_row, num_rows: *len })
        }));
        self.forward(x, &spans, &|_, _, _| {});
        self.spans = spans;
    }

    /// Threads and instruction set, for what is computed before the layers and after them.
    pub fn parallel(&mut self) -> (Isa, &mut Pool, &mut Scratch) {
        self.together.machine.parallel()
    }

    /// Computes the rows of `spans`, which are `x`, after `enter` has filled them.
    pub(super) fn forward(&mut self, mut x: &mut [f32], mut spans: &[Span], enter: &Enter<'_>) {
        let Self { spec, weights, together, apart, groups, .. } = self;
        let hidden = spec.hidden_size;
        let through = |lane: &mut Lane, spans: &[Span], x: &mut [f32]| {
            let first = spans[0].first_row;
            enter(lane, first..first + x.len() / hidden, x);
            lane.forward((spec, weights), x, spans);
        };
        while !spans.is_empty() {
            let cut = groups.cut(spans, together.max_rows());
            let inputs = cut.groups.last().map_or(spans.len(), |group| group.end);
            let end = cut.ends.last().map_or(0, |end| *end);
            let (now, later) = x.split_at_mut(end);
            let of = |i: usize| &spans[cut.groups[i].clone()];
            if cut.apart {
                let Machine { pool, .. } = &mut together.machine;
                pool.run_parts(now, cut.ends, &|i, x, thread| {
                    let mut lane = apart[thread].lock().unwrap_or_else(PoisonError::into_inner);
                    through(&mut lane, of(i), x);
                });
            } else {
                let mut rest = now;
                for i in 0..cut.groups.len() {
                    let (group, later) = rest.split_at_mut(num_rows(of(i)) * hidden);
                    through(together, of(i), group);
                    rest = later;
                }
            }
            (x, spans) = (later, &spans[inputs..]);
        }
    }
}
