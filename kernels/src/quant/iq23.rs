//! Groups of eight or four numbers out of a set, and their signs.
//!
//! Invariant: numbers are at most 62, so with their sign they fit a byte around 128; those of
//! IQ3_S are at most 15.

use super::{
    Parts,
    blocks::{InParts, even, half, nibble, u16_at, u32_at},
    grids::{self, Grid},
    iq1::groups,
};

pub(super) struct Iq2Xxs;
pub(super) struct Iq2Xs;
pub(super) struct Iq2S;
pub(super) struct Iq3Xxs;
pub(super) struct Iq3S;

/// What the two bits of the IQ2 sets stand for.
const OF_TWO_BITS: [u8; 4] = [8, 25, 43, 0];
/// What the three bits of IQ3_XXS stand for; those of IQ3_S are the odd numbers.
const OF_THREE_BITS: [u8; 8] = [4, 12, 20, 28, 36, 44, 52, 62];

/// Gives numbers their signs, a bit each, and moves them to `zero`.
#[inline(always)]
fn signed<const N: usize>(numbers: [u8; N], signs: u8, zero: u8) -> [u8; N] {
    std::array::from_fn(|j| match signs >> j & 1 {
        0 => zero + numbers[j],
        _ => zero - numbers[j],
    })
}

/// Seven signs, and an eighth that makes their number even.
#[inline(always)]
fn even_signs(seven: u8) -> u8 {
    let seven = seven & 127;
    seven | (seven.count_ones() as u8 & 1) << 7
}

#[inline(always)]
fn eight<const BYTES: usize>(grid: &Grid<BYTES>, entry: u16, signs: u8) -> [u8; 8] {
    let numbers = grid.eight(entry).map(|bits| OF_TWO_BITS[usize::from(bits)]);
    signed(numbers, signs, 128)
}

/// Two groups of four with their signs.
#[inline(always)]
fn twice_four(fours: [[u8; 4]; 2], signs: u8, zero: u8) -> [u8; 8] {
    let numbers = std::array::from_fn(|j| fours[j / 4][j % 4]);
    signed(numbers, signs, zero)
}

/// The scale of the IQ2 formats.
#[inline(always)]
fn quarter(d: f32, bits: u8) -> f32 {
    d * (0.5 + f32::from(bits)) * 0.25
}

/// `d: f16, qs: [(u32, u32); 8]`: four entries; four times seven signs and four bits of scale.
impl InParts<66, 256> for Iq2Xxs {
    const ZERO: u8 = 128;

    #[inline(always)]
    fn part(block: &[u8; 66], part: usize) -> Parts {
        let at = 2 + 8 * part;
        let rest = u32_at(block, at + 4);
        let q = groups(|i| {
            let signs = even_signs((rest >> (7 * i)) as u8);
            eight(&grids::IQ2_XXS, u16::from(block[at + i]), signs)
        });
        even(q, quarter(half(block, 0), (rest >> 28) as u8))
    }
}

/// `d: f16, qs: [u16; 32], scales: [u8; 8]`: nine bits of entry, seven of signs.
impl InParts<74, 256> for Iq2Xs {
    const ZERO: u8 = 128;

    #[inline(always)]
    fn part(block: &[u8; 74], part: usize) -> Parts {
        let q = groups(|i| {
            let word = u16_at(block, 2 + 8 * part + 2 * i);
            eight(&grids::IQ2_XS, word & 511, even_signs((word >> 9) as u8))
        });
        let scales = [0, 1].map(|i| quarter(half(block, 0), nibble(block, 66, 2 * part + i)));
        Parts { q, scales, minimum: 0.0 }
    }
}

/// `d: f16, qs: [u8; 32], signs: [u8; 32], qh: [u8; 8], scales: [u8; 8]`
impl InParts<82, 256> for Iq2S {
    const ZERO: u8 = 128;

    #[inline(always)]
    fn part(block: &[u8; 82], part: usize) -> Parts {
        let at = 2 + 4 * part;
        let q = groups(|i| {
            let high = block[66 + part] >> (2 * i) & 3;
            let entry = u16::from(block[at + i]) | u16::from(high) << 8;
            eight(&grids::IQ2_S, entry, block[at + 32 + i])
        });
        let scales = [0, 1].map(|i| quarter(half(block, 0), nibble(block, 74, 2 * part + i)));
        Parts { q, scales, minimum: 0.0 }
    }
}

/// `d: f16, qs: [u8; 64], scales_and_signs: [u32; 8]`
impl InParts<98, 256> for Iq3Xxs {
    const ZERO: u8 = 128;

    #[inline(always)]
    fn part(block: &[u8; 98], part: usize) -> Parts {
        let rest = u32_at(block, 66 + 4 * part);
        let q = groups(|i| {
            let fours = [2 * i, 2 * i + 1].map(|i| {
                let entry = u16::from(block[2 + 8 * part + i]);
                grids::IQ3_XXS.four(entry).map(|bits| OF_THREE_BITS[usize::from(bits)])
            });
            twice_four(fours, even_signs((rest >> (7 * i)) as u8), 128)
        });
        even(q, half(block, 0) * (0.5 + (rest >> 28) as f32) * 0.5)
    }
}

/// `d: f16, qs: [u8; 64], qh: [u8; 8], signs: [u8; 32], scales: [u8; 4]`
impl InParts<110, 256> for Iq3S {
    const ZERO: u8 = 16;

    #[inline(always)]
    fn part(block: &[u8; 110], part: usize) -> Parts {
        let high = block[66 + part];
        let q = groups(|i| {
            let fours = [2 * i, 2 * i + 1].map(|i| {
                let entry = u16::from(block[2 + 8 * part + i]) | u16::from(high >> i & 1) << 8;
                grids::IQ3_S.four(entry).map(|bits| 2 * bits + 1)
            });
            twice_four(fours, block[74 + 4 * part + i], 16)
        });
        even(q, half(block, 0) * f32::from(1 + 2 * nibble(block, 106, part)))
    }
}
