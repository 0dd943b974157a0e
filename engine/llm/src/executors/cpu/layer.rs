//! One transformer block over all rows of a step.

use kernels::{
    Isa,
    attention::{Cache, Plan, Run},
    elementwise::add_scaled,
    norm::norm_vectors,
    packed::{Activations, Scratch, convert_rows, norm_rows},
    pool::Pool,
};

use super::{
    adapters::LayerAdapters,
    attention::grouped,
    buffers::Buffers,
    experts::experts,
    feed_forward::feed_forward,
    latent::latent,
    linear::project,
    rotations::Rotations,
    weights::{Attention, Ffn, LayerWeights, NormWeights},
};
use crate::{
    adapters::Role,
    spec::{DecoderSpec, LayerSpec},
};

/// What computes: threads, and their memory.
pub(super) struct Machine {
    pub(super) isa: Isa,
    pub(super) pool: Pool,
    pub(super) scratch: Scratch,
    pub(super) plan: Plan,
    /// What is between the matrices of adapters.
    pub(super) low_rank: Vec<f32>,
}

impl Machine {
    /// One thread, the calling one, for products of up to `widest` inputs.
    pub(super) fn alone(isa: Isa, widest: usize) -> Self {
        Self {
            isa,
            pool: Pool::default(),
            scratch: Scratch::new(1, widest),
            plan: Plan::new(1, (2, 1), 1),
            low_rank: Vec::new(),
        }
    }
}

/// What is the same in all layers of a step, but for the layer's number.
pub(super) struct Step<'a> {
    pub(super) spec: &'a DecoderSpec,
    pub(super) runs: &'a [Run<'a>],
    /// The same, cut where chunks begin, as if each were a sequence of its own.
    pub(super) chunks: &'a [Run<'a>],
    pub(super) rotations: &'a [Rotations],
    pub(super) rows: usize,
    pub(super) adapters: LayerAdapters<'a>,
}

/// `x += attention(norm(x)); x += feed_forward(norm(x))`, or as the spec has it.
pub(super) fn forward(
    (step, layer): (&Step<'_>, &LayerSpec),
    weights: &LayerWeights,
    cache: &mut Cache<'_>,
    b: &mut Buffers,
    machine: &mut Machine,
) {
    let (block, rows) = (step.spec.block, step.rows);
    let len = rows * step.spec.hidden_size;
    enter(machine, weights.attn_norm.as_ref(), (&b.x[..len], rows), &mut b.normed);
    if let Some(ffn_normed) = &mut b.ffn_normed {
        enter(machine, weights.ffn_norm.as_ref(), (&b.x[..len], rows), ffn_normed);
    }
    let memory = (&mut b.normed, cache);
    match &weights.attention {
        Attention::Grouped(w) => grouped((step, layer), w, memory, &mut b.attention, machine),
        Attention::Latent(w) => latent((step, layer), w, memory, &mut b.attention, machine),
    }
    let direct = is_direct(step.spec, weights.post_attn_norm.as_ref());
    let out = if direct { &mut b.x[..len] } else { &mut b.branch[..len] };
    let attended = &mut b.attention.attended_in;
    project(machine, attended, rows, [(&weights.attn_output, &mut *out, direct)]);
    let adapted = [(Role::Out, out, step.spec.hidden_size)];
    step.adapters.add(machine, (attended, rows, step.spec.attention.out_width()), adapted);
    if !direct {
        leave(machine, step.spec, weights.post_attn_norm.as_ref(), (&mut b.x, &mut b.branch, rows));
    }
    if !block.is_parallel() {
        enter(machine, weights.ffn_norm.as_ref(), (&b.x[..len], rows), &mut b.normed);
    }
    after_attention(step, weights, b, machine);
}

/// The feed-forward layer, from its norm on.
fn after_attention(
    step: &Step<'_>,
    weights: &LayerWeights,
    b: &mut Buffers,
    machine: &mut Machine,
) {
    let (spec, rows) = (step.spec, step.rows);
    let len = rows * spec.hidden_size;
    let normed = b.ffn_normed.as_mut().unwrap_or(&mut b.normed);
    let (norm, adapters) = (weights.post_ffn_norm.as_ref(), Some(step.adapters));
    match &weights.ffn {
        Ffn::Dense(ffn) if is_direct(spec, norm) => {
            let (ffn, out) = ((ffn, adapters), (&mut b.x[..len], true));
            return feed_forward(machine, ffn, (normed, rows), &mut b.dense, out);
        }
        Ffn::Dense(ffn) => {
            let (ffn, out) = ((ffn, adapters), (&mut b.branch[..len], false));
            feed_forward(machine, ffn, (normed, rows), &mut b.dense, out);
        }
        Ffn::Experts(w) => {
            if let (Some(shape), Some(memory)) = (&spec.experts, &mut b.experts) {
                let out = (&mut b.branch[..len], spec.hidden_size);
                experts(machine, (shape, w), (normed, rows), memory, out);
            }
        }
    }
    leave(machine, spec, norm, (&mut b.x, &mut b.branch, rows));
}

/// Whether a branch can be added to the residual stream as it comes.
fn is_direct(spec: &DecoderSpec, post_norm: Option<&NormWeights>) -> bool {
    post_norm.is_none() && spec.residual_scale == 1.0
}

/// From the residual stream into a branch.
fn enter(
    machine: &mut Machine,
    norm: Option<&NormWeights>,
    (x, rows): (&[f32], usize),
    to: &mut Activations,
) {
    let parallel = (machine.isa, &mut machine.pool);
    match norm {
        Some(norm) => norm_rows(parallel, x, &norm.rule(), rows, to),
        None => convert_rows(parallel, x, x.len() / rows.max(1), rows, to),
    }
}

/// From a branch back into the stream.
fn leave(
    machine: &mut Machine,
    spec: &DecoderSpec,
    norm: Option<&NormWeights>,
    (x, branch, rows): (&mut [f32], &mut [f32], usize),
) {
    let width = spec.hidden_size;
    let (x, branch) = (&mut x[..rows * width], &mut branch[..rows * width]);
    if let Some(norm) = norm {
        let parallel = (machine.isa, &mut machine.pool);
        norm_vectors(parallel, branch, (width, width), &norm.rule());
    }
    let parallel = (machine.isa, &mut machine.pool);
    add_scaled(parallel, (x, width), Some(branch), spec.residual_scale);
}
