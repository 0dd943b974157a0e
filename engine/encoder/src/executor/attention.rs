//! Attention within each input: queries, keys and values, their rotation, and the kernel, whose
//! cache holds one layer's keys and values at a time.

use engine_weights::linear::project;
use kernels::{
    Isa,
    attention::{
        BLOCK_SIZE, Cache, CacheLayout, Distances, Heads, KvDtype, MAX_INT8_HEAD_DIM, MAX_KEYS,
        Params, Run, Whole, attention,
    },
    elementwise::{Angles, Pairs, rotate},
    lines::Lines,
    packed::{Activations, convert_rows},
};

use super::{
    Precision,
    groups::max_blocks,
    lane::{Machine, Place},
    weights::{LayerWeights, StackWeights, kind},
};
use crate::spec::{LayerSpec, RelativeSpec, StackSpec};

/// Rotations of all positions, and of a batch's rows.
struct Rotations {
    /// `dim / 2` cosines of each position, and sines.
    table: [Vec<f32>; 2],
    /// The same of each row.
    rows: [Vec<f32>; 2],
    width: usize,
}

impl Rotations {
    fn new(theta: f32, head_dim: usize, (max_rows, max_len): (usize, usize)) -> Self {
        let width = head_dim / 2;
        let mut table = [vec![0.0; max_len * width], vec![0.0; max_len * width]];
        for i in 0..width {
            let exponent = -((2 * i) as f64) / head_dim as f64;
            let freq = f64::from(theta).powf(exponent) as f32;
            for position in 0..max_len {
                // In `f32`, as the reference does.
                let (sin, cos) = (position as f32 * freq).sin_cos();
                table[0][position * width + i] = cos;
                table[1][position * width + i] = sin;
            }
        }
        let rows = || vec![0.0; max_rows * width];
        Self { table, rows: [rows(), rows()], width }
    }

    fn set(&mut self, places: &[Place]) {
        let Self { table, rows, width } = self;
        for Place { first_row, num_rows, .. } in places {
            for (rows, table) in rows.iter_mut().zip(&*table) {
                rows[first_row * *width..][..num_rows * *width]
                    .copy_from_slice(&table[..num_rows * *width]);
            }
        }
    }

    fn angles(&self) -> Angles<'_> {
        let [cos, sin] = &self.rows;
        Angles { pairs: Pairs::Half, cos, sin, width: self.width }
    }
}

/// What attention needs, made once.
pub(super) struct AttentionBuffers {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    /// Attention's output.
    attended: Vec<f32>,
    /// What goes into the projection out of it.
    pub(super) attended_in: Activations,
    layout: CacheLayout,
    memory: Lines<u8>,
    /// All blocks in order: inputs have runs of them.
    blocks: Vec<u32>,
    rotations: Vec<Rotations>,
    /// What is added to scores, for each head, and how far it reaches.
    distances: Option<(Vec<f32>, usize)>,
    /// Kept for its memory only.
    runs: Vec<Run<'static>>,
    /// For inputs that are short and see all of themselves, where there is such a thing.
    whole: Option<Whole>,
    /// First rows and numbers of rows of those.
    short: Vec<(usize, usize)>,
}

impl AttentionBuffers {
    pub(super) fn new(
        (spec, weights): (&StackSpec, &StackWeights),
        (max_rows, max_len): (usize, usize),
        (precision, isa, threads): (Precision, Isa, usize),
    ) -> Self {
        let (hidden, head_dim) = (spec.hidden_size, spec.head_dim());
        let kinds: Vec<_> = weights.layers.iter().map(|layer| kind(&layer.attn_output)).collect();
        let layout = CacheLayout {
            num_layers: 1,
            num_kv_heads: spec.attention.num_heads,
            head_dim,
            dtype: match precision {
                Precision::Exact => KvDtype::F32,
                Precision::Fast => match KvDtype::fastest(isa) {
                    // Sums of bytes have room for heads that are not longer.
                    KvDtype::Int8 if head_dim > MAX_INT8_HEAD_DIM => KvDtype::Bf16,
                    dtype => dtype,
                },
            },
        };
        let num_blocks = max_blocks(max_rows);
        let rows = || vec![0.0; max_rows * hidden];
        let relative = spec.attention.relative.as_ref().zip(weights.relative.as_ref());
        Self {
            q: rows(),
            k: rows(),
            v: rows(),
            attended: rows(),
            attended_in: Activations::new(max_rows, hidden, &kinds),
            layout,
            memory: Lines::new(num_blocks * layout.block_bytes()),
            blocks: (0..num_blocks as u32).collect(),
            rotations: (spec.ropes.iter())
                .map(|theta| Rotations::new(*theta, head_dim, (max_rows, max_len)))
                .collect(),
            distances: relative.map(|(shape, table)| (distances(shape, table, max_len), max_len)),
            runs: Vec::with_capacity(num_blocks),
            whole: (precision == Precision::Fast && Whole::takes(isa, head_dim))
                .then(|| Whole::new(threads, head_dim)),
            short: Vec::with_capacity(num_blocks),
        }
    }

    /// Prepares what is the same in all layers of a batch.
    pub(super) fn set(&mut self, places: &[Place]) {
        self.rotations.iter_mut().for_each(|rotations| rotations.set(places));
    }

    /// Memory for as many rows as attention has, where nothing is kept.
    pub(super) fn spare(&mut self, len: usize) -> &mut [f32] {
        &mut self.attended[..len]
    }
}

/// From buckets to distances, for each head.
fn distances(spec: &RelativeSpec, table: &[f32], reach: usize) -> Vec<f32> {
    let num_heads = table.len() / spec.buckets;
    let mut all = Vec::with_capacity(num_heads * Distances::width(reach));
    for head in 0..num_heads {
        all.extend((0..Distances::width(reach)).map(|i| {
            let bucket = spec.bucket(i as isize - reach as isize);
            table[bucket * num_heads + head]
        }));
    }
    all
}

/// Reads the rows in `x` and leaves what they attend to in `attended_in`.
pub(super) fn attend(
    (spec, layer): (&StackSpec, &LayerSpec),
    weights: &LayerWeights,
    (x, places): (&mut Activations, &[Place]),
    b: &mut AttentionBuffers,
    machine: &mut Machine,
) {
    let (hidden, head_dim) = (spec.hidden_size, spec.head_dim());
    let rows = places.last().map_or(0, |place| place.first_row + place.num_rows);
    let len = rows * hidden;
    let (q, k, v) = (&mut b.q[..len], &mut b.k[..len], &mut b.v[..len]);
    let all =
        [(&weights.q, &mut *q, false), (&weights.k, &mut *k, false), (&weights.v, &mut *v, false)];
    let Machine { isa, pool, scratch, plan } = machine;
    project((*isa, pool, scratch), x, rows, all);
    if let Some(rope) = layer.rope {
        let angles = b.rotations[rope].angles();
        rotate((*isa, pool), q, (hidden, head_dim), &angles);
        rotate((*isa, pool), k, (hidden, head_dim), &angles);
    }
    let scale = 1.0 / (head_dim as f32).sqrt();
    // A long input has its group to itself, so this depends on each alone.
    let short = places.iter().all(|place| place.num_rows <= MAX_KEYS);
    let plain = layer.window.is_none() && b.distances.is_none();
    if let Some(whole) = b.whole.as_mut().filter(|_| short && plain) {
        b.short.clear();
        b.short.extend(places.iter().map(|place| (place.first_row, place.num_rows)));
        let heads = Heads { num: spec.attention.num_heads, dim: head_dim, scale };
        whole.attend((*isa, pool), heads, &b.short, [q, k, v], &mut b.attended_in);
        return;
    }
    let mut runs = reused(std::mem::take(&mut b.runs));
    runs.extend(places.iter().map(|place| Run {
        blocks: &b.blocks[place.first_block..][..place.num_rows.div_ceil(BLOCK_SIZE)],
        position: 0,
        num_rows: place.num_rows,
        first_row: place.first_row,
    }));
    let mut cache = Cache::new(b.layout, 0, &mut b.memory);
    cache.write((*isa, pool), &runs, k, v);
    let params = Params {
        num_heads: spec.attention.num_heads,
        scale,
        both_ways: true,
        window: layer.window,
        distances: (b.distances.as_ref()).map(|(table, reach)| Distances { table, reach: *reach }),
        ..Params::default()
    };
    let attended = &mut b.attended[..len];
    attention((*isa, pool, plan), (&cache, &params), &runs, q, attended);
    convert_rows((*isa, pool), attended, hidden, rows, &mut b.attended_in);
    b.runs = reused(runs);
}

/// The memory of an empty list, for elements that live differently long.
fn reused<'a>(mut runs: Vec<Run<'_>>) -> Vec<Run<'a>> {
    runs.clear();
    // Collected in place.
    runs.into_iter().map(|run| Run { blocks: &[], ..run }).collect()
}
