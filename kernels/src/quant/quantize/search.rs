//! Scales, and minima, that leave the least error.
//!
//! For integers that are given, the best scale is known in one step (least squares); so some
//! scales near the obvious one are tried, each improved so, and the best is kept.

use half::f16;

/// How many scales are tried to either side of the obvious one, and how far apart they are, in
/// steps of the integers.
const TRIED: i32 = 9;
const APART: f32 = 0.1;

/// As a half keeps it.
pub(super) fn stored(x: f32) -> f32 {
    f16::from_f32(x).to_f32()
}

/// What to multiply with instead of dividing; zero for what would divide by zero.
pub(super) fn inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}

/// The whole number from `low` to `high` that is nearest to `x`.
#[inline]
pub(super) fn whole(x: f32, low: f32, high: f32) -> f32 {
    x.round_ties_even().clamp(low, high)
}

/// The scale for integers from `-most` to `most − 1`; its sign brings the largest number to the
/// side that reaches further.
pub(super) fn symmetric(x: &[f32], most: f32) -> f32 {
    let largest =
        x.iter().fold(0.0_f32, |largest, x| if x.abs() > largest.abs() { *x } else { largest });
    let mut best = (0.0, -largest / most);
    for i in -TRIED..=TRIED {
        let steps = inverse(-largest) * (most + APART * i as f32);
        let (mut xq, mut qq) = (0.0, 0.0);
        for x in x {
            let q = whole(steps * x, -most, most - 1.0);
            xq += x * q;
            qq += q * q;
        }
        // By how much less the squares sum up to than those of the numbers themselves.
        let gain = if qq > 0.0 { xq * xq / qq } else { 0.0 };
        if gain > best.0 {
            best = (gain, xq / qq);
        }
    }
    best.1
}

/// The scale and the minimum for integers from 0 to `most`; with `below`, minima are at most 0.
pub(super) fn affine(x: &[f32], most: f32, below: bool) -> (f32, f32) {
    let (low, high) = x.iter().fold((x[0], x[0]), |(low, high), x| (low.min(*x), high.max(*x)));
    let low = if below { low.min(0.0) } else { low };
    let obvious = ((high - low).max(0.0) / most, low);
    let mut best = (squares(x, obvious, most), obvious);
    for i in -TRIED..=TRIED {
        let steps = inverse(high - low) * (most + APART * i as f32);
        let fit = least_squares(x, (steps, low), most, below);
        let error = squares(x, fit, most);
        if error < best.0 {
            best = (error, fit);
        }
    }
    best.1
}

/// The best scale and minimum for the integers that so many steps a unit above `low` give.
fn least_squares(x: &[f32], (steps, low): (f32, f32), most: f32, below: bool) -> (f32, f32) {
    let (mut sum, mut q_sum, mut xq, mut qq) = (0.0, 0.0, 0.0, 0.0);
    for x in x {
        let q = whole(steps * (x - low), 0.0, most);
        sum += x;
        q_sum += q;
        xq += x * q;
        qq += q * q;
    }
    let n = x.len() as f32;
    let determinant = n * qq - q_sum * q_sum;
    let scale = (n * xq - sum * q_sum) * inverse(determinant);
    let minimum = (qq * sum - q_sum * xq) * inverse(determinant);
    if below && minimum > 0.0 {
        return ((xq * inverse(qq)).max(0.0), 0.0);
    }
    (scale.max(0.0), minimum)
}

/// The sum of squares of what a scale and a minimum leave over.
pub(super) fn squares(x: &[f32], (scale, minimum): (f32, f32), most: f32) -> f32 {
    let steps = inverse(scale);
    let left = |x: &f32| {
        let q = whole(steps * (x - minimum), 0.0, most);
        let left = scale.mul_add(q, minimum) - x;
        left * left
    };
    x.iter().map(left).sum()
}
