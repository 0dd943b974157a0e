//! `exp` in a form that compilers vectorise, and the softmax on it.
//!
//! Invariant: the same rounding on every instruction set: multiply-adds are fused by name and
//! sums are taken in sixteen lanes.

use crate::simd::{LANES, sum_lanes};

/// `e^x` to about 2 units in the last place; 0 below −87.3, infinite above 88.3.
///
/// The usual reduction `x = n ln 2 + r`, `|r| ≤ ln 2 / 2`, with the polynomial of Cephes' `expf`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to whole numbers
    let clamped = x.clamp(-87.3, 88.3);
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-0.693_359_4, clamped);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4_f32;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p.mul_add(r, c);
    }
    let y = p.mul_add(r * r, r) + 1.0;
    // 2ⁿ by its exponent bits; n lies in −126..=127 after the clamp, and in the low bits of
    // `shifted` (converting it to an integer would not vectorise).
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < -87.3 { 0.0 } else { y * scale }
}

/// Replaces scores by `exp(s − max) / Σ exp(s − max)`. An empty slice stays empty.
#[inline(always)]
pub fn softmax(scores: &mut [f32]) {
    let max = max(scores);
    let mut lanes = [0.0_f32; LANES];
    let (whole, rest) = scores.as_chunks_mut::<LANES>();
    for chunk in whole {
        for (score, lane) in chunk.iter_mut().zip(&mut lanes) {
            *score = exp(*score - max);
            *lane += *score;
        }
    }
    for (score, lane) in rest.iter_mut().zip(&mut lanes) {
        *score = exp(*score - max);
        *lane += *score;
    }
    let scale = 1.0 / sum_lanes(lanes);
    for score in scores {
        *score *= scale;
    }
}

/// The greatest of `values`, −∞ of none.
#[inline(always)]
pub fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        for (value, lane) in chunk.iter().zip(&mut lanes) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_library_over_its_range() {
        for i in -87_000..88_000 {
            let x = i as f32 / 1000.0;
            let (ours, theirs) = (exp(x), f64::from(x).exp());
            let error = (f64::from(ours) - theirs).abs() / theirs;
            assert!(error < 3e-7, "exp({x}) = {ours}, off by {error}");
        }
        assert_eq!((exp(f32::NEG_INFINITY), exp(-100.0), exp(0.0)), (0.0, 0.0, 1.0));
    }

    #[test]
    fn softmax_sums_to_one_and_keeps_order() {
        for len in [1, 2, 15, 16, 17, 100] {
            let mut scores: Vec<f32> = (0..len).map(|i| (i as f32 * 0.7).sin() * 30.0).collect();
            let before = scores.clone();
            softmax(&mut scores);
            assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            for i in 1..len {
                assert_eq!(before[i] > before[i - 1], scores[i] > scores[i - 1], "{i} of {len}");
            }
        }
    }
}
