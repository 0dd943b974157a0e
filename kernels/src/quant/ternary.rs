//! Weights of −1, 0 and 1.

use super::{
    Parts,
    blocks::{InParts, even, half},
};

pub(super) struct Tq1_0;
pub(super) struct Tq2_0;

/// `qs: [u8; 48], qh: [u8; 4], d: f16`
///
/// A byte is a fraction of 256 with five digits to the base of three (four in `qh`), each of which
/// belongs to another run: five runs of 32, five of 16, four of 4.
impl InParts<54, 256> for Tq1_0 {
    const ZERO: u8 = 8;

    #[inline(always)]
    fn part(block: &[u8; 54], part: usize) -> Parts {
        let q = std::array::from_fn(|j| {
            let (byte, digit) = match 32 * part + j {
                i @ 0..160 => (i % 32, i / 32),
                i @ 160..240 => (32 + i % 16, (i - 160) / 16),
                i => (48 + i % 4, (i - 240) / 4),
            };
            let fraction = block[byte].wrapping_mul([1, 3, 9, 27, 81][digit]);
            7 + ((u16::from(fraction) * 3) >> 8) as u8
        });
        even(q, half(block, 52))
    }
}

/// `qs: [u8; 64], d: f16`: 32 bytes hold four parts, two bits each.
impl InParts<66, 256> for Tq2_0 {
    const ZERO: u8 = 8;

    #[inline(always)]
    fn part(block: &[u8; 66], part: usize) -> Parts {
        let bytes = &block[part / 4 * 32..];
        let q = std::array::from_fn(|j| 7 + (bytes[j] >> (part % 4 * 2) & 3));
        even(q, half(block, 64))
    }
}
