//! The softmax of one row over one tile, in 512-bit registers, for weights that become bfloat16.
//!
//! A tile's products take 256 cycles a row; the plain softmax took nearly as many. Invariant:
//! hidden keys count for nothing whatever they hold, and a row's result depends on its scores only.

use std::arch::x86_64::*;

use super::{
    TILE,
    softmax::{State, finite},
};
use crate::simd::LANES;

/// Vectors of a tile.
const VECTORS: usize = TILE / LANES;

/// As [`update`](super::softmax::update), with weights to 8·10⁻⁶ and rounded to bfloat16 by the
/// conversion instruction if `BF16` says that there is one.
///
/// # Safety
/// The machine has AVX-512F, BW and DQ, and BF16 if it is said to.
#[inline(always)]
pub(super) unsafe fn update<const BF16: bool>(
    scores: &[f32; TILE],
    seen: (usize, usize),
    state: &mut State,
    weights: &mut [u16; TILE],
) -> f32 {
    // SAFETY: the caller vouches for the instruction set; loads and stores stay in the arrays.
    unsafe {
        let mut x = [_mm512_setzero_ps(); VECTORS];
        let hidden = _mm512_set1_ps(f32::NEG_INFINITY);
        let shown = bits_below(seen.1) & !bits_below(seen.0);
        let mut i = 0;
        while i < VECTORS {
            let shown = (shown >> (i * LANES)) as __mmask16;
            x[i] = _mm512_mask_loadu_ps(hidden, shown, scores.as_ptr().add(i * LANES));
            i += 1;
        }
        let max = _mm512_max_ps(_mm512_max_ps(x[0], x[1]), _mm512_max_ps(x[2], x[3]));
        let max = _mm512_reduce_max_ps(max);
        let max = if max > state.max { max } else { state.max };
        let base = finite(max);
        let splat = _mm512_set1_ps(base);
        let mut i = 0;
        while i < VECTORS {
            x[i] = exp2(_mm512_sub_ps(x[i], splat));
            i += 1;
        }
        let sum = _mm512_add_ps(_mm512_add_ps(x[0], x[1]), _mm512_add_ps(x[2], x[3]));
        let factor = _mm512_cvtss_f32(exp2(_mm512_set1_ps(state.max - base)));
        *state = State { max, sum: state.sum.mul_add(factor, _mm512_reduce_add_ps(sum)) };
        let mut i = 0;
        while i < VECTORS {
            let to = weights.as_mut_ptr().add(i * LANES).cast();
            _mm512_storeu_si512(to, round::<BF16>(x[i], x[i + 1]));
            i += 2;
        }
        factor
    }
}

/// The low `n` bits, of 64.
#[inline(always)]
fn bits_below(n: usize) -> u64 {
    if n >= u64::BITS as usize { u64::MAX } else { (1 << n) - 1 }
}

/// `2^x` for `x ≤ 0`, to 8·10⁻⁶; 0 of −∞.
///
/// # Safety
/// The machine has AVX-512F and DQ.
#[inline(always)]
pub(super) unsafe fn exp2(x: __m512) -> __m512 {
    // SAFETY: the caller vouches.
    unsafe {
        // What is left of x above the next whole number, 0 ≤ r < 1; `scalef` takes the rest.
        let r = _mm512_reduce_ps::<9>(x);
        // 1 + r·q(r) with q through (2^r − 1)/r at Chebyshev's points: exactly 1 of 0.
        let mut p = _mm512_set1_ps(0.012_763_114);
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.053_441_03));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.240_647_05));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.693_134));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0));
        _mm512_scalef_ps(p, x)
    }
}

/// The nearest bfloat16, ties to even: of `a`, then of `b`.
///
/// # Safety
/// The machine has AVX-512F, and BF16 if it is said to.
#[inline(always)]
unsafe fn round<const BF16: bool>(a: __m512, b: __m512) -> __m512i {
    // SAFETY: the caller vouches; two views of one register.
    unsafe {
        if BF16 {
            return std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(b, a));
        }
        let (a, b) = (upper(_mm512_castps_si512(a)), upper(_mm512_castps_si512(b)));
        let low = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(a));
        _mm512_inserti64x4::<1>(low, _mm512_cvtepi32_epi16(b))
    }
}

/// Upper halves, rounded.
///
/// # Safety
/// The machine has AVX-512F.
#[inline(always)]
unsafe fn upper(x: __m512i) -> __m512i {
    // SAFETY: the caller vouches.
    unsafe {
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(x), _mm512_set1_epi32(1));
        let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
        _mm512_srli_epi32::<16>(_mm512_add_epi32(x, half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Isa, attention::softmax};

    #[test]
    fn weights_are_those_of_the_plain_softmax_rounded() {
        if !Isa::Avx512.is_available() {
            return;
        }
        for seen in [(0, 64), (0, 1), (63, 64), (5, 40), (17, 17), (0, 0)] {
            let mut scores = [f32::NAN; TILE];
            #[allow(clippy::needless_range_loop, reason = "three rows in step")]
            for i in seen.0..seen.1 {
                scores[i] = (i as f32 * 0.7).sin() * 20.0 - if i == 30 { 300.0 } else { 0.0 };
            }
            for before in [State::EMPTY, State { max: 3.0, sum: 2.5 }] {
                let (mut got, mut want) = (before, before);
                let mut weights = [1; TILE];
                // SAFETY: available.
                let factor = unsafe { update_512(&scores, seen, &mut got, &mut weights) };
                let mut plain = scores;
                let plain_factor = softmax::update(&mut plain, seen, &mut want);
                assert!((factor - plain_factor).abs() < 1e-5, "{factor} {plain_factor}");
                assert!(got.max == want.max && (got.sum - want.sum).abs() <= 2e-5 * want.sum);
                for (weight, plain) in weights.iter().zip(plain) {
                    let weight = f32::from_bits(u32::from(*weight) << 16);
                    assert!((weight - plain).abs() <= plain / 250.0 + 1e-37, "{weight} {plain}");
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq")]
    unsafe fn update_512(
        scores: &[f32; TILE],
        seen: (usize, usize),
        state: &mut State,
        weights: &mut [u16; TILE],
    ) -> f32 {
        // SAFETY: the caller vouches.
        unsafe { update::<false>(scores, seen, state, weights) }
    }
}
