//! One transformer block over all rows of a step.

use kernels::{
    attention::{Cache, CacheLayout, Params, Query, attention},
    elementwise::{add, rms_norm, rope_half, rope_interleaved, swiglu},
    matmul::{Product, matmul},
};
use rayon::prelude::*;

use super::{
    buffers::{Buffers, LayerCache},
    weights::LayerWeights,
};
use crate::spec::{DecoderSpec, RopeStyle};

/// What is the same in all layers of a step.
pub(super) struct Step<'a> {
    pub(super) spec: &'a DecoderSpec,
    pub(super) layout: CacheLayout,
    /// One per row.
    pub(super) queries: &'a [Query<'a>],
}

/// `x += attention(norm(x)); x += feed_forward(norm(x))`.
pub(super) fn forward(
    step: &Step<'_>,
    weights: &LayerWeights,
    kv: &mut LayerCache,
    b: &mut Buffers,
) {
    let (spec, rows) = (step.spec, step.queries.len());
    let x = rows * spec.hidden_size;
    norm(spec, &b.x[..x], &weights.attn_norm, &mut b.normed[..x]);
    self_attention(step, weights, kv, b);
    add(&mut b.x[..x], &b.normed[..x]);

    norm(spec, &b.x[..x], &weights.ffn_norm, &mut b.normed[..x]);
    let wide = rows * spec.intermediate_size;
    let (gate, up) = (&mut b.gate[..wide], &mut b.up[..wide]);
    let mut products = [
        Product { weight: weights.gate.matrix(), out: &mut *gate },
        Product { weight: weights.up.matrix(), out: &mut *up },
    ];
    matmul(&b.normed[..x], rows, &mut products);
    let width = spec.intermediate_size;
    gate.par_chunks_mut(width).zip(up.par_chunks(width)).for_each(|(gate, up)| swiglu(gate, up));
    project(gate, rows, Product { weight: weights.down.matrix(), out: &mut b.normed[..x] });
    add(&mut b.x[..x], &b.normed[..x]);
}

/// Reads the normed rows from `normed` and leaves the block's output there.
fn self_attention(step: &Step<'_>, weights: &LayerWeights, kv: &mut LayerCache, b: &mut Buffers) {
    let (spec, rows) = (step.spec, step.queries.len());
    let (q_width, kv_width) = (spec.num_heads * spec.head_dim, spec.num_kv_heads * spec.head_dim);
    let x = rows * spec.hidden_size;
    let (q, k) = (&mut b.q[..rows * q_width], &mut b.k[..rows * kv_width]);
    let (v, attended) = (&mut b.v[..rows * kv_width], &mut b.attended[..rows * q_width]);
    let mut products = [
        Product { weight: weights.q.matrix(), out: &mut *q },
        Product { weight: weights.k.matrix(), out: &mut *k },
        Product { weight: weights.v.matrix(), out: &mut *v },
    ];
    matmul(&b.normed[..x], rows, &mut products);
    rotate(spec, q, q_width, (&b.cos, &b.sin));
    rotate(spec, k, kv_width, (&b.cos, &b.sin));
    write_cache(step, kv, k, v);
    let cache = Cache { layout: step.layout, keys: &kv.keys, values: &kv.values };
    let params = Params {
        num_heads: spec.num_heads,
        scale: 1.0 / (spec.head_dim as f32).sqrt(),
        window: spec.sliding_window,
    };
    attention(&cache, &params, step.queries, q, attended);
    let output = Product { weight: weights.attn_output.matrix(), out: &mut b.normed[..x] };
    project(attended, rows, output);
}

fn project(x: &[f32], rows: usize, product: Product<'_>) {
    matmul(x, rows, &mut [product]);
}

fn norm(spec: &DecoderSpec, x: &[f32], weight: &[f32], out: &mut [f32]) {
    let width = spec.hidden_size;
    out.par_chunks_mut(width)
        .zip(x.par_chunks(width))
        .for_each(|(out, x)| rms_norm(x, weight, spec.norm_eps, out));
}

/// Rotates every head of every row to the row's position.
fn rotate(spec: &DecoderSpec, rows: &mut [f32], width: usize, (cos, sin): (&[f32], &[f32])) {
    let angles = spec.rope.dim / 2;
    let rope = match spec.rope.style {
        RopeStyle::Half => rope_half,
        RopeStyle::Interleaved => rope_interleaved,
    };
    let angles = cos.chunks_exact(angles).zip(sin.chunks_exact(angles));
    for (row, (cos, sin)) in rows.chunks_exact_mut(width).zip(angles) {
        row.chunks_exact_mut(spec.head_dim).for_each(|head| rope(head, cos, sin));
    }
}

/// Writes each row's keys and values where its block table says.
fn write_cache(step: &Step<'_>, kv: &mut LayerCache, k: &[f32], v: &[f32]) {
    let CacheLayout { block_size, num_kv_heads, head_dim } = step.layout;
    for (row, query) in step.queries.iter().enumerate() {
        let block = query.blocks[query.position / block_size];
        for head in 0..num_kv_heads {
            let from = (row * num_kv_heads + head) * head_dim;
            let to = step.layout.index(block, head, query.position % block_size);
            kv.keys[to..to + head_dim].copy_from_slice(&k[from..from + head_dim]);
            kv.values[to..to + head_dim].copy_from_slice(&v[from..from + head_dim]);
        }
    }
}
