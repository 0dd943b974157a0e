//! Attention over all rows of a step: queries, keys and values, their norms and rotations.

use kernels::{
    attention::{BLOCK_SIZE, Cache, Params, Run, attention},
    elementwise::{Angles, Pairs, rotate},
    norm::norm_vectors,
    packed::{Activations, convert_rows},
};

use super::{
    buffers::AttentionBuffers,
    layer::{Machine, Step},
    linear::project,
    rotations::Rotations,
    weights::{Grouped, NormWeights},
};
use crate::{
    adapters::Role,
    spec::{LayerSpec, RopeStyle, TemperatureSpec},
};

/// Reads the normed rows and leaves what they attend to in `attended_in`.
pub(super) fn grouped(
    (step, layer): (&Step<'_>, &LayerSpec),
    weights: &Grouped,
    (x, cache): (&mut Activations, &mut Cache<'_>),
    b: &mut AttentionBuffers,
    machine: &mut Machine,
) {
    let (spec, rows) = (&step.spec.attention, step.rows);
    let (q_width, kv_width) = (spec.q_width(), spec.kv_width());
    let (q, k) = (&mut b.q[..rows * q_width], &mut b.k[..rows * kv_width]);
    let (v, attended) = (&mut b.v[..rows * kv_width], &mut b.attended[..rows * q_width]);
    let all =
        [(&weights.q, &mut *q, false), (&weights.k, &mut *k, false), (&weights.v, &mut *v, false)];
    project(machine, x, rows, all);
    let adapted = [
        (Role::Query, &mut *q, q_width),
        (Role::Key, &mut *k, kv_width),
        (Role::Value, &mut *v, kv_width),
    ];
    step.adapters.add(machine, (x, rows, step.spec.hidden_size), adapted);
    if let Some([q_norm, k_norm]) = &weights.norms {
        norm_heads(machine, q, q_width, q_norm);
        norm_heads(machine, k, kv_width, k_norm);
    }
    if let Some(rope) = layer.rope {
        rotate_rows(machine, (q, q_width, spec.head_dim), &step.rotations[rope]);
        rotate_rows(machine, (k, kv_width, spec.head_dim), &step.rotations[rope]);
    }
    if let (Some(temperature), None) = (&spec.temperature, layer.rope) {
        heat(temperature, step.runs, (q, q_width));
    }
    cache.write((machine.isa, &mut machine.pool), step.runs, k, v);
    attend((step, layer), weights.sinks.as_deref(), cache, (q, attended), machine);
    let parallel = (machine.isa, &mut machine.pool);
    convert_rows(parallel, attended, q_width, rows, &mut b.attended_in);
}

/// Norms the heads of rows, or all of a row's together.
fn norm_heads(machine: &mut Machine, rows: &mut [f32], width: usize, norm: &NormWeights) {
    let shape = (width, norm.vector);
    norm_vectors((machine.isa, &mut machine.pool), rows, shape, &norm.rule());
}

/// Rotates heads of rows by their positions.
pub(super) fn rotate_rows(
    machine: &mut Machine,
    (rows, width, head_dim): (&mut [f32], usize, usize),
    by: &Rotations,
) {
    let pairs = match by.style {
        RopeStyle::Half => Pairs::Half,
        RopeStyle::Interleaved => Pairs::Interleaved,
    };
    let angles = Angles { pairs, cos: &by.cos, sin: &by.sin, width: by.width() };
    rotate((machine.isa, &mut machine.pool), rows, (width, head_dim), &angles);
}

/// Multiplies queries by what their positions ask for.
fn heat(by: &TemperatureSpec, runs: &[Run<'_>], (q, width): (&mut [f32], usize)) {
    for run in runs {
        let rows = &mut q[run.first_row * width..][..run.num_rows * width];
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            let factor = by.at(run.position + i);
            if factor != 1.0 {
                row.iter_mut().for_each(|x| *x *= factor);
            }
        }
    }
}

/// Cuts `runs` where chunks of `chunk` positions, whole blocks, begin. A chunk is a sequence of its
/// own to whoever attends: keys are rotated when they are written, by where they are in the text.
pub(super) fn cut_into_chunks<'a>(runs: &[Run<'a>], chunk: usize, to: &mut Vec<Run<'a>>) {
    for run in runs {
        let end = run.position + run.num_rows;
        let mut position = run.position;
        while position < end {
            let begin = position / chunk * chunk;
            let num_rows = end.min(begin + chunk) - position;
            to.push(Run {
                blocks: &run.blocks[begin / BLOCK_SIZE..],
                position: position - begin,
                num_rows,
                first_row: run.first_row + position - run.position,
            });
            position += num_rows;
        }
    }
}

/// The kernel, by the spec.
pub(super) fn attend(
    (step, layer): (&Step<'_>, &LayerSpec),
    sinks: Option<&[f32]>,
    cache: &Cache<'_>,
    (q, attended): (&[f32], &mut [f32]),
    machine: &mut Machine,
) {
    let spec = &step.spec.attention;
    let params = Params {
        num_heads: spec.num_heads,
        scale: spec.scale,
        window: layer.window,
        softcap: spec.softcap,
        sinks,
        ..Params::default()
    };
    let Machine { isa, pool, plan, .. } = machine;
    let runs = if layer.chunked { step.chunks } else { step.runs };
    attention((*isa, pool, plan), (cache, &params), runs, q, attended);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_all_rows_and_begin_with_their_own_blocks() {
        let blocks: Vec<u32> = (10..20).collect();
        let run =
            |position, num_rows, first_row| Run { blocks: &blocks, position, num_rows, first_row };
        let mut chunks = Vec::new();
        cut_into_chunks(&[run(0, 33, 0), run(31, 2, 33), run(64, 1, 35)], 32, &mut chunks);
        let got: Vec<_> =
            chunks.iter().map(|r| (r.blocks[0], r.position, r.num_rows, r.first_row)).collect();
        let want =
            [(10, 0, 32, 0), (12, 0, 1, 32), (10, 31, 1, 33), (12, 0, 1, 34), (14, 0, 1, 35)];
        assert_eq!(got, want);
    }
}
