//! One transformer block over all rows of a step.

use kernels::{
    Isa,
    attention::{Cache, Params, Plan, Run, attention},
    elementwise::{Angles, Pairs, rotate, swiglu},
    matmul::{self, Rows, matmul},
    packed::{
        self, Activations, GatedProduct, Kind, Scratch, convert_rows, gated_product, norm_rows,
        products,
    },
    pool::Pool,
};

use super::{
    buffers::Buffers,
    weights::{LayerWeights, Linear, Weight, stored},
};
use crate::spec::{DecoderSpec, RopeStyle};

/// What computes: threads, and their memory.
pub(super) struct Machine {
    pub(super) isa: Isa,
    pub(super) pool: Pool,
    pub(super) scratch: Scratch,
    pub(super) plan: Plan,
}

/// What is the same in all layers of a step.
pub(super) struct Step<'a> {
    pub(super) spec: &'a DecoderSpec,
    pub(super) runs: &'a [Run<'a>],
    pub(super) rows: usize,
}

/// `x += attention(norm(x)); x += feed_forward(norm(x))`.
pub(super) fn forward(
    step: &Step<'_>,
    weights: &LayerWeights,
    cache: &mut Cache<'_>,
    b: &mut Buffers,
    machine: &mut Machine,
) {
    let (spec, rows) = (step.spec, step.rows);
    let x = rows * spec.hidden_size;
    let norm = |x: &[f32], weight: &[f32], out: &mut Activations, machine: &mut Machine| {
        norm_rows((machine.isa, &mut machine.pool), x, (weight, spec.norm_eps), rows, out);
    };
    norm(&b.x[..x], &weights.attn_norm, &mut b.normed, machine);
    self_attention(step, weights, cache, b, machine);
    let out = (&weights.attn_output, &mut b.x[..x], true);
    project(machine, &mut b.attended_in, rows, [out]);

    norm(&b.x[..x], &weights.ffn_norm, &mut b.normed, machine);
    if let Some([gate, up]) = weights.gated() {
        let Machine { isa, pool, scratch, .. } = machine;
        let product = GatedProduct { gate, up, out: &mut b.gated };
        gated_product((*isa, pool, scratch), &b.normed, rows, product);
    } else {
        let width = spec.intermediate_size;
        let (gate, up) = (&mut b.gate[..rows * width], &mut b.up[..rows * width]);
        let both = [(&weights.gate, &mut *gate, false), (&weights.up, &mut *up, false)];
        project(machine, &mut b.normed, rows, both);
        swiglu((machine.isa, &mut machine.pool), gate, up, width);
        convert_rows((machine.isa, &mut machine.pool), gate, width, rows, &mut b.gated);
    }
    project(machine, &mut b.gated, rows, [(&weights.down, &mut b.x[..x], true)]);
}

/// Reads the normed rows and leaves what they attend to in `attended_in`.
fn self_attention(
    step: &Step<'_>,
    weights: &LayerWeights,
    cache: &mut Cache<'_>,
    b: &mut Buffers,
    machine: &mut Machine,
) {
    let (spec, rows) = (step.spec, step.rows);
    let (q_width, kv_width) = (spec.num_heads * spec.head_dim, spec.num_kv_heads * spec.head_dim);
    let (q, k) = (&mut b.q[..rows * q_width], &mut b.k[..rows * kv_width]);
    let (v, attended) = (&mut b.v[..rows * kv_width], &mut b.attended[..rows * q_width]);
    let all =
        [(&weights.q, &mut *q, false), (&weights.k, &mut *k, false), (&weights.v, &mut *v, false)];
    project(machine, &mut b.normed, rows, all);
    let pairs = match spec.rope.style {
        RopeStyle::Half => Pairs::Half,
        RopeStyle::Interleaved => Pairs::Interleaved,
    };
    let angles = Angles { pairs, cos: &b.cos, sin: &b.sin, width: spec.rope.dim / 2 };
    let Machine { isa, pool, plan, .. } = machine;
    rotate((*isa, pool), q, (q_width, spec.head_dim), &angles);
    rotate((*isa, pool), k, (kv_width, spec.head_dim), &angles);
    cache.write(pool, step.runs, k, v);
    let params = Params {
        num_heads: spec.num_heads,
        scale: 1.0 / (spec.head_dim as f32).sqrt(),
        window: spec.sliding_window,
    };
    attention((*isa, pool, plan), (cache, &params), step.runs, q, attended);
    convert_rows((*isa, pool), attended, q_width, rows, &mut b.attended_in);
}

/// A matrix, its output, and whether to add to what is there.
pub(super) type Projection<'a> = (&'a Linear, &'a mut [f32], bool);

/// Multiplies the first `rows` rows of `x` with several matrices, at once if all are packed.
pub(super) fn project<const N: usize>(
    machine: &mut Machine,
    x: &mut Activations,
    rows: usize,
    all: [Projection<'_>; N],
) {
    let Machine { isa, pool, scratch, .. } = machine;
    if all.iter().all(|(linear, ..)| linear.kind() != Kind::F32) {
        let mut all = all.map(|(linear, out, accumulate)| {
            let Weight::Packed(packed) = &linear.weight else { unreachable!("asked above") };
            packed::Product { weight: packed.matrix(linear.bias()), out, accumulate }
        });
        return products((*isa, pool, scratch), x, rows, &mut all);
    }
    for (linear, out, accumulate) in all {
        match &linear.weight {
            Weight::Packed(packed) => {
                let weight = packed.matrix(linear.bias());
                let product = packed::Product { weight, out, accumulate };
                products((*isa, pool, scratch), x, rows, &mut [product]);
            }
            Weight::Stored(tensor) => {
                let weight = stored(tensor, linear.bias());
                let product = matmul::Product { weight, out, accumulate };
                let rows = Rows { stride: x.stride(), data: x.as_f32(rows), m: rows };
                matmul((*isa, pool), rows, &mut [product]);
            }
        }
    }
}
