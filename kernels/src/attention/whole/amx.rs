//! One head of a sequence on tiles.
//!
//! Invariant: keys past the end weigh nothing, and rows past it are written nowhere.

use std::arch::x86_64::*;

use super::{Head, MAX_KEYS, ROWS, STEP, Scratch};
use crate::{
    attention::{TILE, amx::load_query, softmax::finite, softmax_avx512::exp2},
    packed::Activations,
    simd::{
        LANES,
        amx::{
            Config, Configured,
            attention::{self, BLOCKS, TILE_BYTES},
        },
    },
};

const _: () = assert!(MAX_KEYS.is_multiple_of(TILE) && TILE == BLOCKS * LANES);
const _: () = assert!(ROWS == attention::ROWS && ROWS == LANES);

/// # Safety
/// [`super::Whole::takes`] is true, rows are in bounds, and no other thread writes this head of
/// them.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")]
pub(super) unsafe fn attend(head: &Head<'_>, scratch: &mut Scratch, out: &Activations) {
    let dim = head.heads.dim;
    let scale = head.heads.scale * std::f32::consts::LOG2_E;
    // SAFETY: the machine has a matrix unit, and the task ends before the thread has another; all
    // pointers are into memory for so many keys, rows and elements.
    unsafe {
        let _tiles = Configured::new(&Config::whole_attention());
        load_keys(head, &mut scratch.keys);
        load_values(head, &mut scratch.values);
        for row in (0..head.keys).step_by(ROWS) {
            let num = ROWS.min(head.keys - row);
            for m in 0..num {
                let at = head.at(row + m);
                load_query(&head.q[at..at + dim], scale, &mut scratch.queries, m);
            }
            for tile in 0..head.keys.div_ceil(TILE) {
                let block = |i: usize| (tile * BLOCKS + i) * dim * LANES / 2;
                let keys = std::array::from_fn(|i| scratch.keys.as_ptr().add(block(i)).cast());
                let to = scratch.scores.as_mut_ptr().add(tile * ROWS * TILE);
                let q = scratch.queries.as_ptr().cast();
                attention::scores(q, keys, None, dim / STEP, to.cast());
            }
            let mut inverse = [0.0; ROWS];
            for (m, inverse) in inverse.iter_mut().enumerate().take(num) {
                *inverse = soften(m, head.keys, &scratch.scores, &mut scratch.weights);
            }
            for pair in 0..dim / STEP {
                let steps = head.keys.div_ceil(STEP);
                let values = scratch.values.as_ptr().add(pair * TILE_BYTES / 2).cast();
                let weights = scratch.weights.as_ptr().cast();
                let to = scratch.outputs.as_mut_ptr();
                attention::all_values((weights, values), steps, dim / LANES, to);
                for (m, inverse) in inverse.iter().enumerate().take(num) {
                    let from = scratch.outputs.as_chunks::<STEP>().0[m];
                    // Not by `map`, which is not inlined.
                    let mut block = [0.0; STEP];
                    for (to, x) in block.iter_mut().zip(from) {
                        *to = x * inverse;
                    }
                    let i = head.index * (dim / STEP) + pair;
                    out.put(head.first + row + m, i, &block);
                }
            }
        }
    }
}

/// Weights of one row, and what their sum is divided by.
///
/// # Safety
/// The instruction set is there; `m` is below [`ROWS`], `keys` at most [`MAX_KEYS`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")]
unsafe fn soften(m: usize, keys: usize, scores: &[f32], weights: &mut [u16]) -> f32 {
    let tiles = keys.div_ceil(TILE);
    let shown = |at: usize| match keys - at.min(keys) {
        LANES.. => u16::MAX,
        left => (1 << left) - 1,
    };
    // SAFETY: the caller vouches.
    unsafe {
        // Keys past the end have whatever scores, and weights of zero.
        let hidden = _mm512_set1_ps(f32::NEG_INFINITY);
        let load = |tile: usize, i: usize| {
            let from = scores.as_ptr().add((tile * ROWS + m) * TILE + i * LANES);
            _mm512_mask_loadu_ps(hidden, shown(tile * TILE + i * LANES), from)
        };
        let mut max = [hidden; BLOCKS];
        for tile in 0..tiles {
            for (i, max) in max.iter_mut().enumerate() {
                *max = _mm512_max_ps(*max, load(tile, i));
            }
        }
        let max = _mm512_max_ps(_mm512_max_ps(max[0], max[1]), _mm512_max_ps(max[2], max[3]));
        let base = _mm512_set1_ps(finite(_mm512_reduce_max_ps(max)));
        let mut sums = [_mm512_setzero_ps(); 2];
        for tile in 0..tiles {
            for pair in 0..BLOCKS / 2 {
                let a = exp2(_mm512_sub_ps(load(tile, 2 * pair), base));
                let b = exp2(_mm512_sub_ps(load(tile, 2 * pair + 1), base));
                sums = [_mm512_add_ps(sums[0], a), _mm512_add_ps(sums[1], b)];
                let to = weights.as_mut_ptr().add((tile * ROWS + m) * TILE + pair * STEP);
                _mm512_storeu_si512(to.cast(), round(a, b));
            }
        }
        1.0 / _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]))
    }
}

/// The nearest bfloat16s of `a`, then of `b`.
///
/// # Safety
/// The instruction set is there.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")]
unsafe fn round(a: __m512, b: __m512) -> __m512i {
    // SAFETY: the caller vouches; two views of one register.
    unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(b, a)) }
}

/// Puts keys where products read them; the last sixteen are filled up with zeros, and so are
/// those that a tile of scores has besides.
///
/// # Safety
/// The instruction set is there, rows are in bounds, `to` is for so many keys.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")]
unsafe fn load_keys(head: &Head<'_>, to: &mut [u32]) {
    let (dim, lines) = (head.heads.dim, STEP / 2);
    for block in 0..head.keys.next_multiple_of(TILE) / LANES {
        for step in 0..dim / STEP {
            // SAFETY: the caller vouches.
            unsafe {
                let mut rows = [_mm512_setzero_si512(); LANES];
                for (j, row) in rows.iter_mut().enumerate() {
                    if block * LANES + j < head.keys {
                        let at = head.at(block * LANES + j) + step * STEP;
                        let from = head.k.as_ptr().add(at);
                        let (a, b) = (_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(LANES)));
                        *row = round(a, b);
                    }
                }
                let to = to.as_mut_ptr().add((block * (dim / STEP) + step) * lines * LANES);
                for (line, row) in transpose(rows).into_iter().enumerate() {
                    _mm512_storeu_si512(to.add(line * LANES).cast(), row);
                }
            }
        }
    }
}

/// From rows of sixteen to columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")]
fn transpose(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let mut pairs = rows;
    let mut fours = rows;
    let mut eights = rows;
    let mut columns = rows;
    for i in (0..LANES).step_by(2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    // Of each quarter of a register: columns 0 to 3 of four rows.
    for i in (0..LANES).step_by(4) {
        fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for i in 0..4 {
        for half in [0, 8] {
            let (a, b) = (fours[half + i], fours[half + i + 4]);
            eights[half + i] = _mm512_shuffle_i32x4::<0x88>(a, b);
            eights[half + i + 4] = _mm512_shuffle_i32x4::<0xdd>(a, b);
        }
    }
    for i in 0..4 {
        // Columns i and i + 8, then i + 4 and i + 12.
        for (odd, first) in [(0, i), (4, i + 4)] {
            let (a, b) = (eights[i + odd], eights[i + odd + 8]);
            columns[first] = _mm512_shuffle_i32x4::<0x88>(a, b);
            columns[first + 8] = _mm512_shuffle_i32x4::<0xdd>(a, b);
        }
    }
    columns
}

/// Puts values where products read them, pairs of keys in a lane; the last keys of a step are
/// filled up with zeros.
///
/// # Safety
/// As [`load_keys`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")]
unsafe fn load_values(head: &Head<'_>, to: &mut [u32]) {
    let dim = head.heads.dim;
    // SAFETY: the caller vouches.
    unsafe {
        let load = |key: usize, line: usize| match key < head.keys {
            true => _mm512_loadu_ps(head.v.as_ptr().add(head.at(key) + line * LANES)),
            false => _mm512_setzero_ps(),
        };
        for pair in 0..head.keys.next_multiple_of(STEP) / 2 {
            for line in 0..dim / LANES {
                let (a, b) = (load(2 * pair, line), load(2 * pair + 1, line));
                let [a, b] = [a, b].map(|x| {
                    let rounded = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x));
                    _mm512_cvtepu16_epi32(rounded)
                });
                let both = _mm512_or_si512(a, _mm512_slli_epi32::<16>(b));
                let tile = pair / LANES * (dim / LANES) + line;
                let to = to.as_mut_ptr().add((tile * LANES + pair % LANES) * LANES);
                _mm512_storeu_si512(to.cast(), both);
            }
        }
    }
}
