//! Multi-head latent attention: the cache holds one latent vector and one rotated key a position,
//! and all heads attend to these.
//!
//! `q · (W_k c) = (W_kᵀ q) · c` and `Σ w (W_v c) = W_v Σ w c`: what a head makes of a latent vector
//! `c` is done to its query before, and to its output after (DeepSeek-V2, 2024, section 2.1.2).

use kernels::{
    attention::Cache,
    elementwise::{Columns, copy_columns},
    norm::norm_vectors,
    packed::{Activations, Kind, convert_rows, norm_rows},
};

use super::{
    attention::{attend, rotate_rows},
    buffers::AttentionBuffers,
    layer::{Machine, Step},
    linear::{Linear, project},
    weights::Latent,
};
use crate::spec::{AttentionSpec, LatentSpec, LayerSpec};

/// Memory of it, beside what all attention has.
pub(super) struct LatentBuffers {
    /// Latent vectors of queries, and their norm.
    q_a: Vec<f32>,
    q_a_normed: Activations,
    /// Queries as they are before heads have made theirs of them.
    q: Vec<f32>,
    /// Latent vectors of keys and values beside rotated keys.
    kv: Vec<f32>,
    latent: Vec<f32>,
    rotated: Vec<f32>,
    /// One head's: what goes into its two matrices, and what comes out.
    plain: Vec<f32>,
    nope_in: Activations,
    latent_in: Activations,
    made: Vec<f32>,
    /// All heads' outputs.
    out: Vec<f32>,
}

impl LatentBuffers {
    /// For each of `all`, and at most `max_rows` rows.
    pub(super) fn new(
        (spec, latent): (&AttentionSpec, &LatentSpec),
        all: &[&Latent],
        max_rows: usize,
    ) -> Self {
        let rows = |width: usize| vec![0.0; max_rows * width];
        let kinds = |of: fn(&Latent) -> Option<&Linear>| -> Vec<Kind> {
            all.iter().filter_map(|layer| of(layer)).map(Linear::kind).collect()
        };
        let acts = |width, kinds: &[Kind]| Activations::new(max_rows, width, kinds);
        let q_rank = latent.q_rank.unwrap_or(0);
        let nope_in = kinds(|layer| layer.heads.first().map(|(k, _)| k));
        let latent_in = kinds(|layer| layer.heads.first().map(|(_, v)| v));
        Self {
            q_a: rows(q_rank),
            q_a_normed: acts(q_rank, &kinds(|layer| Some(&layer.q))),
            q: rows(spec.num_heads * (latent.nope_dim + latent.rope_dim)),
            kv: rows(latent.kv_rank + latent.rope_dim),
            latent: rows(latent.kv_rank),
            rotated: rows(spec.num_heads * latent.rope_dim),
            plain: rows(latent.kv_rank.max(latent.nope_dim)),
            nope_in: acts(latent.nope_dim, &nope_in),
            latent_in: acts(latent.kv_rank, &latent_in),
            made: rows(latent.kv_rank.max(latent.value_dim)),
            out: rows(spec.out_width()),
        }
    }
}

/// Reads the normed rows and leaves what they attend to in `attended_in`.
pub(super) fn latent(
    (step, layer): (&Step<'_>, &LayerSpec),
    weights: &Latent,
    (x, cache): (&mut Activations, &mut Cache<'_>),
    b: &mut AttentionBuffers,
    machine: &mut Machine,
) {
    let (spec, rows) = (&step.spec.attention, step.rows);
    let (Some(latent), Some(l)) = (&spec.latent, &mut b.latent) else { return };
    queries(step, layer, (weights, latent), (x, &mut *l, &mut b.q), machine);
    keys((step, layer), (weights, latent), (x, &mut *l), (&mut b.k, &mut b.v), machine);
    let kv = rows * spec.kv_width();
    cache.write((machine.isa, &mut machine.pool), step.runs, &b.k[..kv], &b.v[..kv]);
    let width = spec.q_width();
    let (q, attended) = (&b.q[..rows * width], &mut b.attended[..rows * width]);
    attend((step, layer), None, cache, (q, attended), machine);
    for (head, (_, value)) in weights.heads.iter().enumerate() {
        let (rank, value_dim) = (latent.kv_rank, latent.value_dim);
        let plain = &mut l.plain[..rows * rank];
        let from = Columns { width, first: head * spec.head_dim };
        copy_columns((attended, from), (plain, Columns { width: rank, first: 0 }), rank);
        convert_rows((machine.isa, &mut machine.pool), plain, rank, rows, &mut l.latent_in);
        let made = &mut l.made[..rows * value_dim];
        project(machine, &mut l.latent_in, rows, [(value, &mut *made, false)]);
        let to = Columns { width: spec.out_width(), first: head * value_dim };
        let out = (&mut l.out[..rows * spec.out_width()], to);
        copy_columns((made, Columns { width: value_dim, first: 0 }), out, value_dim);
    }
    let out = &l.out[..rows * spec.out_width()];
    let parallel = (machine.isa, &mut machine.pool);
    convert_rows(parallel, out, spec.out_width(), rows, &mut b.attended_in);
}

/// Queries of latent vectors beside rotated ones.
fn queries(
    step: &Step<'_>,
    layer: &LayerSpec,
    (weights, latent): (&Latent, &LatentSpec),
    (x, l, to): (&mut Activations, &mut LatentBuffers, &mut [f32]),
    machine: &mut Machine,
) {
    let (spec, rows) = (&step.spec.attention, step.rows);
    let (nope, rope, rank) = (latent.nope_dim, latent.rope_dim, latent.kv_rank);
    let per_head = nope + rope;
    let width = spec.num_heads * per_head;
    let q = &mut l.q[..rows * width];
    if let (Some((q_a, norm)), Some(q_rank)) = (&weights.q_a, latent.q_rank) {
        let out = &mut l.q_a[..rows * q_rank];
        project(machine, x, rows, [(q_a, &mut *out, false)]);
        let parallel = (machine.isa, &mut machine.pool);
        norm_rows(parallel, out, &norm.rule(), rows, &mut l.q_a_normed);
        project(machine, &mut l.q_a_normed, rows, [(&weights.q, &mut *q, false)]);
    } else {
        project(machine, x, rows, [(&weights.q, &mut *q, false)]);
    }
    let all = spec.num_heads * rope;
    let rotated = &mut l.rotated[..rows * all];
    for head in 0..spec.num_heads {
        let from = Columns { width, first: head * per_head + nope };
        let to = Columns { width: all, first: head * rope };
        copy_columns((q, from), (&mut *rotated, to), rope);
    }
    if let Some(by) = layer.rope {
        rotate_rows(machine, (&mut *rotated, all, rope), &step.rotations[by]);
    }
    let to = &mut to[..rows * spec.q_width()];
    for (head, (key, _)) in weights.heads.iter().enumerate() {
        let plain = &mut l.plain[..rows * nope];
        let from = Columns { width, first: head * per_head };
        copy_columns((q, from), (&mut *plain, Columns { width: nope, first: 0 }), nope);
        convert_rows((machine.isa, &mut machine.pool), plain, nope, rows, &mut l.nope_in);
        let made = &mut l.made[..rows * rank];
        project(machine, &mut l.nope_in, rows, [(key, &mut *made, false)]);
        let at = |first| Columns { width: spec.q_width(), first: head * spec.head_dim + first };
        copy_columns((made, Columns { width: rank, first: 0 }), (&mut *to, at(0)), rank);
        let from = Columns { width: all, first: head * rope };
        copy_columns((rotated, from), (&mut *to, at(rank)), rope);
    }
}

/// What goes into the cache: latent vectors beside rotated keys, and as values the former alone.
fn keys(
    (step, layer): (&Step<'_>, &LayerSpec),
    (weights, latent): (&Latent, &LatentSpec),
    (x, l): (&mut Activations, &mut LatentBuffers),
    (k, v): (&mut [f32], &mut [f32]),
    machine: &mut Machine,
) {
    let rows = step.rows;
    let (rope, rank) = (latent.rope_dim, latent.kv_rank);
    let width = rank + rope;
    let kv = &mut l.kv[..rows * width];
    project(machine, x, rows, [(&weights.kv_a, &mut *kv, false)]);
    let at = |width, first| Columns { width, first };
    let c = &mut l.latent[..rows * rank];
    copy_columns((kv, at(width, 0)), (&mut *c, at(rank, 0)), rank);
    let rotated = &mut l.rotated[..rows * rope];
    copy_columns((kv, at(width, rank)), (&mut *rotated, at(rope, 0)), rope);
    let norm = weights.kv_norm.rule();
    norm_vectors((machine.isa, &mut machine.pool), c, (rank, rank), &norm);
    if let Some(by) = layer.rope {
        rotate_rows(machine, (&mut *rotated, rope, rope), &step.rotations[by]);
    }
    let (k, v) = (&mut k[..rows * width], &mut v[..rows * width]);
    copy_columns((c, at(rank, 0)), (&mut *k, at(width, 0)), rank);
    copy_columns((rotated, at(rope, 0)), (k, at(width, rank)), rope);
    // What is beyond the latent vector stays zero.
    copy_columns((c, at(rank, 0)), (v, at(width, 0)), rank);
}
