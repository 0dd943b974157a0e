//! One expert over some rows, by all threads or by one with memory of its own.

use kernels::packed::{Activations, Kind, convert_rows};

use super::Pick;
use crate::executors::cpu::{
    feed_forward::{FeedForwardBuffers, feed_forward},
    layer::Machine,
    weights::{Experts, FeedForward},
};

/// What experts read.
pub(super) struct Input<'a> {
    /// Rows at distances of `stride`.
    pub(super) x: &'a [f32],
    pub(super) stride: usize,
    pub(super) hidden: usize,
    /// Whether a pick's weight is multiplied with what goes in, not with what comes out.
    pub(super) weighted: bool,
}

/// Memory of one expert's rows.
pub(super) struct Memory {
    gathered: Vec<f32>,
    input: Activations,
    expert: FeedForwardBuffers,
}

impl Memory {
    /// For at most so many rows of any of the `experts`.
    pub(super) fn new<'a>(
        (max_rows, hidden): (usize, usize),
        kinds: &[Kind],
        experts: impl Iterator<Item = &'a FeedForward>,
    ) -> Self {
        Self {
            gathered: vec![0.0; max_rows * hidden],
            input: Activations::new(max_rows, hidden, kinds),
            expert: FeedForwardBuffers::new((max_rows, false), experts),
        }
    }
}

/// What a thread computes with alone.
pub(super) struct Lane {
    pub(super) machine: Machine,
    pub(super) memory: Memory,
}

/// What the expert of the `picks` gives for their rows.
pub(super) fn compute(
    machine: &mut Machine,
    weights: &Experts,
    (input, picks): (&Input<'_>, &[Pick]),
    memory: &mut Memory,
    out: &mut [f32],
) {
    let Some(Pick { expert, .. }) = picks.first() else { return };
    let hidden = input.hidden;
    let gathered = &mut memory.gathered[..picks.len() * hidden];
    for (pick, to) in picks.iter().zip(gathered.chunks_exact_mut(hidden)) {
        to.copy_from_slice(&input.x[pick.row as usize * input.stride..][..hidden]);
        if input.weighted {
            to.iter_mut().for_each(|x| *x *= pick.weight);
        }
    }
    let parallel = (machine.isa, &mut machine.pool);
    convert_rows(parallel, gathered, hidden, picks.len(), &mut memory.input);
    let expert = &weights.experts[*expert as usize];
    let rows = (&mut memory.input, picks.len());
    feed_forward(machine, (expert, None), rows, &mut memory.expert, (out, false));
}
