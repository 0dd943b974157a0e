//! Super-blocks of 256 with two and three bits: Q2_K and Q3_K.
//!
//! 32 bytes hold four parts of 32, two bits of each number.

use super::{
    Block, Parts, affine,
    blocks::{InParts, half},
};
use crate::simd::{LANES, Simd};

pub(super) struct Q2K;
pub(super) struct Q3K;

/// Two bits of the numbers of a part.
#[inline(always)]
fn two_bits(qs: &[u8], part: usize) -> [u8; 32] {
    let bytes = &qs[part / 4 * 32..];
    std::array::from_fn(|j| bytes[j] >> (part % 4 * 2) & 3)
}

/// `scales: [u8; 16], qs: [u8; 64], d: f16, dmin: f16`: scales in low nibbles, minima in high ones.
impl Block<84, 256> for Q2K {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 84], dst: &mut [f32; 256]) {
        let (d, d_min) = (half(src, 80), half(src, 82));
        for (part, runs) in dst.as_chunks_mut::<LANES>().0.chunks_exact_mut(2).enumerate() {
            let q = two_bits(&src[16..80], part);
            for (i, (q, dst)) in q.as_chunks::<LANES>().0.iter().zip(runs).enumerate() {
                let both = src[2 * part + i];
                let (scale, minimum) = (d * f32::from(both & 15), d_min * f32::from(both >> 4));
                // SAFETY: the caller vouches for the instruction set.
                unsafe { affine::<S>(q, scale, -minimum, dst) };
            }
        }
    }
}

/// `hmask: [u8; 32], qs: [u8; 64], scales: [u8; 12], d: f16`
impl InParts<110, 256> for Q3K {
    const ZERO: u8 = 32;

    #[inline(always)]
    fn part(block: &[u8; 110], part: usize) -> Parts {
        let low = two_bits(&block[32..96], part);
        // A bit that is set in the mask takes nothing away; one that is not takes four.
        let q = std::array::from_fn(|j| 28 + low[j] + 4 * (block[j] >> part & 1));
        let scale = |i: usize| {
            let low = block[96 + i % 8] >> (i / 8 * 4) & 15;
            let high = block[104 + i % 4] >> (i / 4 * 2) & 3;
            half(block, 108) * f32::from((low | high << 4) as i8 - 32)
        };
        Parts { q, scales: [scale(2 * part), scale(2 * part + 1)], minimum: 0.0 }
    }
}
