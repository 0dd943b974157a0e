//! Groups of eight of −1, 0 and 1 out of a set of 2,048, all moved by an eighth up or down.
//!
//! In eighths they are whole numbers from −9 to 9.

use super::{
    Parts,
    blocks::{InParts, even, half, u16_at},
    grids,
};

pub(super) struct Iq1S;
pub(super) struct Iq1M;

/// Eight numbers in eighths, plus `zero`.
#[inline(always)]
fn eighths(entry: u16, down: bool, zero: u8) -> [u8; 8] {
    let moved = if down { zero - 9 } else { zero - 7 };
    grids::IQ1_S.eight(entry).map(|g| moved + 8 * g)
}

/// Four groups of eight, one after another.
#[inline(always)]
pub(super) fn groups(group: impl Fn(usize) -> [u8; 8]) -> [u8; 32] {
    let mut q = [0; 32];
    for (i, eight) in q.as_chunks_mut().0.iter_mut().enumerate() {
        *eight = group(i);
    }
    q
}

/// `d: f16, qs: [u8; 32], qh: [u16; 8]`: of `qh` three bits for each group, three of scale, a sign.
impl InParts<50, 256> for Iq1S {
    const ZERO: u8 = 16;

    #[inline(always)]
    fn part(block: &[u8; 50], part: usize) -> Parts {
        let high = u16_at(block, 34 + 2 * part);
        let q = groups(|i| {
            let entry = u16::from(block[2 + 4 * part + i]) | (high >> (3 * i) & 7) << 8;
            eighths(entry, high >> 15 == 1, Self::ZERO)
        });
        even(q, half(block, 0) * f32::from(2 * (high >> 12 & 7) + 1) * 0.125)
    }
}

/// `qs: [u8; 32], qh: [u8; 16], scales: [u16; 4]`: of `qh` three bits and a sign for each group;
/// the upper four bits of the scales are the half-precision scale of the block.
impl InParts<56, 256> for Iq1M {
    const ZERO: u8 = 32;

    #[inline(always)]
    fn part(block: &[u8; 56], part: usize) -> Parts {
        let q = groups(|i| {
            let high = block[32 + 2 * part + i / 2] >> (i % 2 * 4);
            let entry = u16::from(block[4 * part + i]) | u16::from(high & 7) << 8;
            eighths(entry, high & 8 != 0, Self::ZERO)
        });
        let words: [u16; 4] = std::array::from_fn(|i| u16_at(block, 48 + 2 * i));
        let bits = (0..4).fold(0, |bits, i| bits | words[i] >> 12 << (4 * i));
        let d = crate::simd::f16_to_f32(bits.to_le_bytes());
        let scale = |i: usize| d * f32::from(2 * (words[i / 4] >> (i % 4 * 3) & 7) + 1) * 0.125;
        Parts { q, scales: [scale(2 * part), scale(2 * part + 1)], minimum: 0.0 }
    }
}
