//! Attention over a bfloat16 cache on the matrix unit, sixteen rows at a time.
//!
//! Keys and values lie in memory as its tiles do. Invariant: however many rows there are, one as
//! well, they go this way: a row's result does not depend on what else is computed.

use super::{
    Cache, CacheLayout, KvDtype, TILE,
    flash::{Piece, Queries, Sums, find, tiles_of},
    rows::{BLOCKS, Rows},
    softmax_avx512,
};
use crate::{
    isa::Isa,
    packed::to_bf16,
    simd::{
        LANES,
        amx::{
            Config, Configured,
            attention::{self, ROWS, TILE_BYTES},
        },
    },
};

const _: () = assert!(BLOCKS == attention::BLOCKS);
/// Elements of a tile of queries or keys.
const STEP: usize = 32;

/// Whether these keys and values are multiplied on tiles, which are whole ones.
pub(super) fn takes(isa: Isa, layout: &CacheLayout) -> bool {
    isa == Isa::Amx && layout.dtype == KvDtype::Bf16 && layout.head_dim.is_multiple_of(STEP)
}

/// Puts a row's query, scaled, among its sixteen: `[32 elements][row]`.
#[inline(always)]
pub(super) fn load_query(q: &[f32], scale: f32, operands: &mut [u32], row: usize) {
    let pairs = STEP / 2;
    let band = &mut operands[row / ROWS * ROWS * q.len() / 2..];
    for (step, q) in q.as_chunks::<STEP>().0.iter().enumerate() {
        let to = &mut band[(step * ROWS + row % ROWS) * pairs..][..pairs];
        for (to, [a, b]) in to.iter_mut().zip(q.as_chunks::<2>().0) {
            *to = u32::from(to_bf16(a * scale)) | u32::from(to_bf16(b * scale)) << 16;
        }
    }
}

/// One partition of the piece's keys into `sums`.
///
/// # Safety
/// See [`partition`](super::flash::partition); [`takes`] is true, and queries are loaded for it.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn attend(
    piece: &Piece<'_>,
    cache: &Cache<'_>,
    index: usize,
    queries: &Queries,
    sums: &mut Sums<'_>,
) {
    let (rows, group) = (piece.num_rows(cache), piece.group(cache));
    // SAFETY: the machine has a matrix unit; the task ends before the thread has another.
    let _tiles = unsafe { Configured::new(&Config::attention(rows.min(ROWS))) };
    let mut scratch = Scratch {
        scores: [[0.0; TILE]; ROWS],
        weights: [[0; TILE]; ROWS],
        values: [[0.0; 32]; ROWS],
    };
    let (from, to) = tiles_of(piece, index);
    let mut next = (from < to).then(|| find(piece, cache, from * TILE));
    for tile in from..to {
        let Some((tiles, num_blocks)) = next else { break };
        let key = tile * TILE;
        next = (tile + 1 < to).then(|| find(piece, cache, key + TILE));
        for row in (0..rows).step_by(ROWS) {
            // Few rows wait for memory.
            let near = next.as_ref().map(|(tiles, _)| tiles).filter(|_| rows <= ROWS);
            let (tiles, next) = (&tiles, near);
            let work = Rows { piece, cache, row, group, queries, tiles, num_blocks, key, next };
            // SAFETY: the caller vouches.
            unsafe { sixteen(&work, ROWS.min(rows - row), sums, &mut scratch) };
        }
    }
}

/// Of sixteen rows and a tile of keys.
#[repr(C, align(64))]
struct Scratch {
    scores: [[f32; TILE]; ROWS],
    weights: [[u16; TILE]; ROWS],
    /// Two lines.
    values: [[f32; 2 * LANES]; ROWS],
}

/// Scores, softmax, weighted values of `num` rows.
///
/// # Safety
/// As [`attend`].
#[inline(always)]
unsafe fn sixteen(rows: &Rows<'_>, num: usize, sums: &mut Sums<'_>, scratch: &mut Scratch) {
    if rows.is_ahead(num) {
        return;
    }
    let layout = rows.cache.layout();
    let (keys, values) = (rows.tiles.map(|(keys, _)| keys.cast_const()), rows.tiles);
    let next = rows.next.map(|next| next.map(|(keys, _)| keys.cast_const()));
    let q = &rows.queries.operands[rows.row * layout.head_dim / 2..];
    let steps = layout.head_dim / STEP;
    debug_assert!(q.len() * 4 >= steps * TILE_BYTES);
    let mut factors = [0.0; ROWS];
    // SAFETY: the caller vouches; bands of queries are whole.
    unsafe {
        attention::scores(q.as_ptr().cast(), keys, next, steps, scratch.scores.as_mut_ptr().cast());
        rows.adjust(&mut scratch.scores[..num]);
        for (m, factor) in factors.iter_mut().enumerate().take(num) {
            let state = &mut sums.states[rows.row + m];
            let (scores, weights) = (&scratch.scores[m], &mut scratch.weights[m]);
            *factor = softmax_avx512::update::<false>(scores, rows.seen(m), state, weights);
        }
    }
    let lines = layout.value_lines();
    let width = lines * LANES;
    let outputs = &mut sums.outputs[rows.row * width..(rows.row + num) * width];
    for line in (0..lines).step_by(2) {
        let at = |block: usize| values[block].1.wrapping_add(line * 64).cast_const();
        let from: [_; BLOCKS] = std::array::from_fn(at);
        let next = rows.next.map(|next| next.map(|(_, v)| v.wrapping_add(line * 64).cast_const()));
        // SAFETY: the caller vouches; heads are whole pairs of lines.
        unsafe {
            let (weights, to) =
                (scratch.weights.as_ptr().cast(), scratch.values.as_mut_ptr().cast());
            attention::values(weights, &from[..rows.num_blocks], next, lines * 64, to);
        }
        for (m, (out, values)) in outputs.chunks_exact_mut(width).zip(&scratch.values).enumerate() {
            let out = &mut out[line * LANES..][..2 * LANES];
            for (out, value) in out.iter_mut().zip(values) {
                *out = out.mul_add(factors[m], *value);
            }
        }
    }
}
