//! The softmax of one row over one tile of keys, merged into what came before.

use super::TILE;
use crate::simd::{Dot, LANES, sum_lanes};

/// A row's softmax so far: weights are relative to `2^max`, outputs are not yet divided by `sum`.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) max: f32,
    pub(super) sum: f32,
}

impl State {
    /// Of no keys.
    pub(super) const EMPTY: Self = Self { max: f32::NEG_INFINITY, sum: 0.0 };

    /// What outputs relative to `self` and to `other` are multiplied with to be relative to both,
    /// and the state of both.
    #[inline(always)]
    pub(super) fn merge(self, other: Self) -> (f32, f32, Self) {
        let max = if other.max > self.max { other.max } else { self.max };
        let base = finite(max);
        let (a, b) = (exp2(self.max - base), exp2(other.max - base));
        (a, b, Self { max, sum: self.sum * a + other.sum * b })
    }
}

/// Nothing seen yet: any finite base gives weights of zero.
#[inline(always)]
pub(super) fn finite(max: f32) -> f32 {
    if max == f32::NEG_INFINITY { 0.0 } else { max }
}

/// Replaces the scores of keys outside `seen` (first and end, within the tile) by nothing, and
/// turns the others into weights. Returns the factor for what the row has accumulated.
#[inline(always)]
pub(super) fn update(scores: &mut [f32; TILE], seen: (usize, usize), state: &mut State) -> f32 {
    // Few tiles have hidden keys.
    if seen != (0, TILE) {
        scores[..seen.0].fill(f32::NEG_INFINITY);
        scores[seen.1..].fill(f32::NEG_INFINITY);
    }
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in scores.as_chunks::<LANES>().0 {
        for (lane, score) in lanes.iter_mut().zip(chunk) {
            *lane = if *score > *lane { *score } else { *lane };
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = if lanes[i + width] > lanes[i] { lanes[i + width] } else { lanes[i] };
        }
        width /= 2;
    }
    let max = if lanes[0] > state.max { lanes[0] } else { state.max };
    let base = finite(max);
    let mut sums = [0.0; LANES];
    for chunk in scores.as_chunks_mut::<LANES>().0 {
        for (sum, score) in sums.iter_mut().zip(chunk) {
            *score = exp2(*score - base);
            *sum += *score;
        }
    }
    let factor = exp2(state.max - base);
    *state = State { max, sum: state.sum.mul_add(factor, sum_lanes(sums)) };
    factor
}

/// [`update`] in the vectors of `D`.
///
/// # Safety
/// The machine has the instruction set of `D`.
#[inline(always)]
pub(super) unsafe fn soften<D: Dot>(
    scores: &mut [f32; TILE],
    seen: (usize, usize),
    state: &mut State,
) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if D::AVX2 {
        // SAFETY: the caller vouches.
        return unsafe { super::softmax_avx2::update(scores, seen, state) };
    }
    update(scores, seen, state)
}

/// 1.5 · 2²³: adding it leaves the rounded number in the low bits.
pub(super) const ROUND: f32 = 12_582_912.0;
/// `ln(2)ᵏ / k!`, the highest power first.
pub(super) const POWERS: [f32; 7] = [
    1.540_353e-4,
    1.333_355_8e-3,
    9.618_129e-3,
    5.550_411e-2,
    0.240_226_5,
    std::f32::consts::LN_2,
    1.0,
];

/// `2^x` for `x ≤ 0`, to 2·10⁻⁷; 0 below −126. What is not a number stays so.
#[inline(always)]
pub(super) fn exp2(x: f32) -> f32 {
    let clamped = if x < -126.0 { -126.0 } else { x };
    let whole = clamped + ROUND;
    let r = clamped - (whole - ROUND);
    let [first, rest @ ..] = POWERS;
    let mut p = first;
    for c in rest {
        p = p.mul_add(r, c);
    }
    let y = f32::from_bits(p.to_bits().wrapping_add(whole.to_bits() << 23));
    if x < -126.0 { 0.0 } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp2_is_close_to_the_library() {
        for i in 0..126_000 {
            let x = -i as f32 / 1000.0;
            let (ours, theirs) = (f64::from(exp2(x)), f64::from(x).exp2());
            assert!((ours - theirs).abs() / theirs < 3e-7, "2^{x} = {ours}");
        }
        assert_eq!((exp2(f32::NEG_INFINITY), exp2(-127.0), exp2(0.0)), (0.0, 0.0, 1.0));
        assert!(exp2(f32::NAN).is_nan());
    }

    #[test]
    fn hidden_keys_count_for_nothing_whatever_they_hold() {
        let mut scores = [f32::NAN; TILE];
        scores[3] = 1.0;
        scores[4] = 2.0;
        let mut state = State::EMPTY;
        assert_eq!(update(&mut scores, (3, 5), &mut state), 0.0);
        assert_eq!((scores[3], scores[4], state.max), (0.5, 1.0, 2.0));
        assert_eq!(scores.iter().sum::<f32>(), 1.5);
        let mut none = [f32::NAN; TILE];
        assert_eq!(update(&mut none, (0, 0), &mut state), 1.0);
        assert_eq!(state.sum, 1.5);
    }
}
