//! What choosing a token asks of a long row of logits: the maxima of its blocks, which tell where
//! the greatest values lie without sorting, and sums of exponentials.
//!
//! Each function is its own plain reference: loops simple enough for the compiler to vectorise.
//! Invariant: the same rounding on every instruction set (see [`exp`](crate::exp)).

use crate::{
    Isa,
    exp::exp,
    simd::{Dot, LANES, on_each_isa, sum_lanes},
};

/// Values of a block; a row's last may be shorter.
pub const BLOCK: usize = 64;

/// The greatest value of each [`BLOCK`] of `values`, and whether none of all is NaN. A NaN is
/// passed over; a block of nothing else has −∞.
///
/// # Panics
/// If `maxima` has not one place for each block.
pub fn block_maxima(values: &[f32], maxima: &mut [f32]) -> bool {
    let mut all_numbers = false;
    // SAFETY: detected.
    unsafe { maxima_on(Isa::detect(), values, maxima, &mut all_numbers) };
    all_numbers
}

on_each_isa! {
    /// # Safety
    /// `isa` is available (so in all below).
    maxima_on = maxima_of_blocks(values: &[f32], maxima: &mut [f32], all_numbers: &mut bool)
}

on_each_isa! {
    /// # Safety
    /// As [`maxima_on`].
    sums_on = sums_of_blocks(values: &[f32], to: (f32, f32), sums: &mut [f32])
}

on_each_isa! {
    /// # Safety
    /// As [`maxima_on`].
    exp_on = exp_in_place(values: &mut [f32], to: (f32, f32))
}

/// # Safety
/// See [`maxima_on`].
#[inline(always)]
unsafe fn maxima_of_blocks<D: Dot>(values: &[f32], maxima: &mut [f32], all_numbers: &mut bool) {
    assert_eq!(maxima.len(), values.len().div_ceil(BLOCK), "a place for each block");
    let mut nans = [false; LANES];
    let (whole, rest) = values.as_chunks::<BLOCK>();
    for (block, max) in whole.iter().zip(&mut *maxima) {
        *max = max_of(block, &mut nans);
    }
    if let (false, Some(max)) = (rest.is_empty(), maxima.last_mut()) {
        let mut block = [f32::NEG_INFINITY; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        *max = max_of(&block, &mut nans);
    }
    *all_numbers = nans == [false; LANES];
}

#[inline(always)]
fn max_of(block: &[f32; BLOCK], nans: &mut [bool; LANES]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in block.as_chunks::<LANES>().0 {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
            nans[i] |= chunk[i].is_nan();
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = if lanes[i] > lanes[i + width] { lanes[i] } else { lanes[i + width] };
        }
        width /= 2;
    }
    lanes[0]
}

/// `sums[b] = Σ exp((values[i] − max) · scale)` over each [`BLOCK`] `b` of `values`.
///
/// # Panics
/// If `sums` has not one place for each block.
pub fn block_exp_sums(values: &[f32], max: f32, scale: f32, sums: &mut [f32]) {
    // SAFETY: detected.
    unsafe { sums_on(Isa::detect(), values, (max, scale), sums) };
}

/// # Safety
/// See [`maxima_on`].
#[inline(always)]
unsafe fn sums_of_blocks<D: Dot>(values: &[f32], (max, scale): (f32, f32), sums: &mut [f32]) {
    assert_eq!(sums.len(), values.len().div_ceil(BLOCK), "a place for each block");
    for (block, sum) in values.chunks(BLOCK).zip(sums) {
        let mut lanes = [0.0_f32; LANES];
        let (whole, rest) = block.as_chunks::<LANES>();
        for chunk in whole {
            for (value, lane) in chunk.iter().zip(&mut lanes) {
                *lane += exp((value - max) * scale);
            }
        }
        for (value, lane) in rest.iter().zip(&mut lanes) {
            *lane += exp((value - max) * scale);
        }
        *sum = sum_lanes(lanes);
    }
}

/// `values[i] = exp((values[i] − max) · scale)`.
pub fn exp_of_each(values: &mut [f32], max: f32, scale: f32) {
    // SAFETY: detected.
    unsafe { exp_on(Isa::detect(), values, (max, scale)) };
}

/// # Safety
/// See [`maxima_on`].
#[inline(always)]
unsafe fn exp_in_place<D: Dot>(values: &mut [f32], (max, scale): (f32, f32)) {
    for value in values {
        *value = exp((*value - max) * scale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 % 1009) as f32 * 0.37).sin() * 20.0).collect()
    }

    #[test]
    fn blocks_have_their_maxima_and_a_nan_is_noticed() {
        for len in [0, 1, 63, 64, 65, 1000] {
            let mut row = row(len);
            let mut maxima = vec![0.0; len.div_ceil(BLOCK)];
            assert!(block_maxima(&row, &mut maxima));
            let plain = |row: &[f32]| row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(maxima, row.chunks(BLOCK).map(plain).collect::<Vec<_>>(), "{len}");
            for at in [0, len / 2, len.saturating_sub(1)].into_iter().filter(|at| *at < len) {
                let before = std::mem::replace(&mut row[at], f32::NAN);
                assert!(!block_maxima(&row, &mut maxima), "{at} of {len}");
                assert_eq!(maxima, row.chunks(BLOCK).map(plain).collect::<Vec<_>>());
                row[at] = before;
            }
        }
    }

    #[test]
    fn sums_are_those_of_the_exponentials() {
        for len in [1, 15, 64, 200] {
            let (row, mut sums) = (row(len), vec![0.0; len.div_ceil(BLOCK)]);
            block_exp_sums(&row, 20.0, 0.5, &mut sums);
            let mut each = row.clone();
            exp_of_each(&mut each, 20.0, 0.5);
            for (i, (value, e)) in row.iter().zip(&each).enumerate() {
                let want = ((value - 20.0) * 0.5).exp();
                assert!((want - e).abs() <= 1e-6 * want, "{i} of {len}: {e} is not {want}");
            }
            for (block, sum) in each.chunks(BLOCK).zip(sums) {
                let want: f32 = block.iter().sum();
                assert!((want - sum).abs() <= 1e-5 * want, "{len}: {sum} is not {want}");
            }
        }
    }
}
