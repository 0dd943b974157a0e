//! [`softmax::update`](super::softmax::update), and weights in 16 bits, in 256-bit vectors: left
//! to the compiler, they take as long as the products.
//!
//! Invariant: the softmax is the plain one, bit for bit.

use std::arch::x86_64::*;

use super::{
    TILE,
    softmax::{State, exp2, finite},
};
use crate::simd::{LANES, sum_lanes};

/// Floats of a vector, and vectors of a tile.
const WIDTH: usize = 8;
const VECTORS: usize = TILE / WIDTH;

/// See [`softmax::update`](super::softmax::update).
#[target_feature(enable = "avx2,fma")]
pub(super) fn update(scores: &mut [f32; TILE], seen: (usize, usize), state: &mut State) -> f32 {
    if seen != (0, TILE) {
        scores[..seen.0].fill(f32::NEG_INFINITY);
        scores[seen.1..].fill(f32::NEG_INFINITY);
    }
    let p = scores.as_mut_ptr();
    let mut max = _mm256_set1_ps(f32::NEG_INFINITY);
    for i in 0..VECTORS {
        // SAFETY: within the tile (so in all below). What is not a number leaves the maximum.
        max = _mm256_max_ps(unsafe { _mm256_loadu_ps(p.add(i * WIDTH)) }, max);
    }
    let max = greatest(max);
    let max = if max > state.max { max } else { state.max };
    let base = _mm256_set1_ps(finite(max));
    let mut sums = [_mm256_setzero_ps(); LANES / WIDTH];
    for i in 0..VECTORS {
        // SAFETY: as above.
        unsafe {
            let weight = exp2_256(_mm256_sub_ps(_mm256_loadu_ps(p.add(i * WIDTH)), base));
            _mm256_storeu_ps(p.add(i * WIDTH), weight);
            sums[i % 2] = _mm256_add_ps(sums[i % 2], weight);
        }
    }
    let mut lanes = [0.0; LANES];
    // SAFETY: sixteen floats.
    unsafe {
        _mm256_storeu_ps(lanes.as_mut_ptr(), sums[0]);
        _mm256_storeu_ps(lanes.as_mut_ptr().add(WIDTH), sums[1]);
    }
    let factor = exp2(state.max - finite(max));
    *state = State { max, sum: state.sum.mul_add(factor, sum_lanes(lanes)) };
    factor
}

/// Weights times scales as shares of the greatest, of `most`; returns what one of them is worth.
#[target_feature(enable = "avx2,fma")]
pub(super) fn quantize(
    weights: &[f32; TILE],
    scales: &[f32; TILE],
    to: &mut [i16; TILE],
    most: f32,
) -> f32 {
    let (weights, scales, to) = (weights.as_ptr(), scales.as_ptr(), to.as_mut_ptr());
    let mut products = [_mm256_setzero_ps(); VECTORS];
    let mut max = _mm256_setzero_ps();
    for (i, product) in products.iter_mut().enumerate() {
        // SAFETY: within the tile (so in all below).
        unsafe {
            let at = i * WIDTH;
            *product =
                _mm256_mul_ps(_mm256_loadu_ps(weights.add(at)), _mm256_loadu_ps(scales.add(at)));
        }
        max = _mm256_max_ps(*product, max);
    }
    let max = greatest(max);
    // So small that its inverse is no number: nothing is lost by nothing.
    let inverse = _mm256_set1_ps(if max < 1e-30 { 0.0 } else { most / max });
    for i in 0..VECTORS / 2 {
        let low = _mm256_cvtps_epi32(_mm256_mul_ps(products[2 * i], inverse));
        let high = _mm256_cvtps_epi32(_mm256_mul_ps(products[2 * i + 1], inverse));
        // Packed within halves of a register, then put in order.
        let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(to.add(2 * i * WIDTH).cast(), packed) };
    }
    max / most
}

#[target_feature(enable = "avx2")]
fn greatest(x: __m256) -> f32 {
    let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)))
}

/// [`exp2`] of eight.
#[target_feature(enable = "avx2,fma")]
fn exp2_256(x: __m256) -> __m256 {
    let (least, round) = (_mm256_set1_ps(-126.0), _mm256_set1_ps(super::softmax::ROUND));
    // What is not a number stays so.
    let clamped = _mm256_max_ps(least, x);
    let whole = _mm256_add_ps(clamped, round);
    let r = _mm256_sub_ps(clamped, _mm256_sub_ps(whole, round));
    let [first, rest @ ..] = super::softmax::POWERS;
    let mut p = _mm256_set1_ps(first);
    for c in rest {
        p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(c));
    }
    let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(whole));
    let y = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent));
    _mm256_andnot_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(x, least), y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Isa, attention::softmax};

    #[test]
    fn weights_are_those_of_the_plain_softmax() {
        if !Isa::Avx2.is_available() {
            return;
        }
        for seen in [(0, 64), (0, 1), (63, 64), (5, 40), (17, 17), (0, 0)] {
            for before in [State::EMPTY, State { max: 3.0, sum: 2.5 }] {
                let mut plain: [f32; TILE] = std::array::from_fn(|i| {
                    (i as f32 * 0.7).sin() * 20.0 - if i == 30 { 300.0 } else { 0.0 }
                });
                let mut scores = plain;
                let (mut got, mut want) = (before, before);
                // SAFETY: available (so below).
                let factor = unsafe { update(&mut scores, seen, &mut got) };
                assert_eq!(factor, softmax::update(&mut plain, seen, &mut want));
                assert_eq!((scores, got.max, got.sum), (plain, want.max, want.sum));
            }
        }
    }

    #[test]
    fn weights_in_16_bits_are_within_half_a_step() {
        if !Isa::Avx2.is_available() {
            return;
        }
        let weights: [f32; TILE] = std::array::from_fn(|i| (i as f32 * 0.37).sin().abs());
        let scales: [f32; TILE] = std::array::from_fn(|i| 0.01 + i as f32 * 1e-3);
        let mut to = [0; TILE];
        // SAFETY: available.
        let step = unsafe { quantize(&weights, &scales, &mut to, 32767.0) };
        assert_eq!(to.iter().max(), Some(&32767));
        for i in 0..TILE {
            let off = f32::from(to[i]) * step - weights[i] * scales[i];
            assert!(off.abs() <= 0.51 * step, "{i}: {off}");
        }
    }
}
