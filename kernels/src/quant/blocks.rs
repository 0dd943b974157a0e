//! Formats whose blocks are whole numbers times scales, one for each 16 or more.
//!
//! Invariant: a format is told once, as [`Parts`]; dequantising multiplies just those, which for
//! all of these formats is what the reference computes, bit for bit: their products are exact.

use super::{Block, Parts, centred};
use crate::simd::{LANES, Simd};

/// A format of blocks of `LEN` numbers in `BYTES` bytes.
pub(super) trait InParts<const BYTES: usize, const LEN: usize> {
    /// The `q` that stands for zero.
    const ZERO: u8;

    /// The `part`-th 32 numbers of a block.
    fn part(block: &[u8; BYTES], part: usize) -> Parts;
}

/// Makes a [`Block`] of a format that is told in parts.
pub(super) struct ByParts<T>(T);

impl<T, const BYTES: usize, const LEN: usize> Block<BYTES, LEN> for ByParts<T>
where
    T: InParts<BYTES, LEN>,
{
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; BYTES], dst: &mut [f32; LEN]) {
        let (runs, _) = dst.as_chunks_mut::<LANES>();
        for (i, runs) in runs.chunks_exact_mut(2).enumerate() {
            let Parts { q, scales, .. } = T::part(src, i);
            let (q, _) = q.as_chunks::<LANES>();
            for ((q, scale), dst) in q.iter().zip(scales).zip(runs) {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { centred::<S>(q, scale, f32::from(T::ZERO), dst) };
            }
        }
    }
}

/// Parts with one scale for all 32.
pub(super) fn even(q: [u8; 32], scale: f32) -> Parts {
    Parts { q, scales: [scale; 2], minimum: 0.0 }
}

/// The half-precision number at `at`.
#[inline(always)]
pub(super) fn half(block: &[u8], at: usize) -> f32 {
    crate::simd::f16_to_f32([block[at], block[at + 1]])
}

/// The 16 bits at `at`.
#[inline(always)]
pub(super) fn u16_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

/// The 32 bits at `at`.
#[inline(always)]
pub(super) fn u32_at(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| block[at + i]))
}

/// The `i`-th of nibbles from `at` on, low ones first.
#[inline(always)]
pub(super) fn nibble(block: &[u8], at: usize, i: usize) -> u8 {
    block[at + i / 2] >> (i % 2 * 4) & 15
}
