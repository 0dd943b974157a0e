//! Four bits that name one of sixteen numbers.
//!
//! Elements 0–15 of a part sit in low nibbles, 16–31 in high ones.

use super::{
    Parts,
    blocks::{InParts, even, half, nibble, u16_at},
};

/// What the nibbles of IQ4 formats stand for (ggml's `kvalues_iq4nl`).
const UNEVEN: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/// Twice the numbers of `e2m1`: a sign, two bits of exponent, one of mantissa.
const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

pub(super) struct Iq4Nl;
pub(super) struct Iq4Xs;
pub(super) struct Mxfp4;
pub(super) struct Nvfp4;

/// `d: f16, qs: [u8; 16]`
impl InParts<18, 32> for Iq4Nl {
    const ZERO: u8 = 128;

    #[inline(always)]
    fn part(block: &[u8; 18], _: usize) -> Parts {
        even(named(&UNEVEN, 128, &block[2..]), half(block, 0))
    }
}

/// `d: f16, scales_h: u16, scales_l: [u8; 4], qs: [u8; 128]`
impl InParts<136, 256> for Iq4Xs {
    const ZERO: u8 = 128;

    #[inline(always)]
    fn part(block: &[u8; 136], part: usize) -> Parts {
        let high = u16_at(block, 2) >> (2 * part) & 3;
        let scale = i16::from(nibble(block, 4, part)) | (high << 4) as i16;
        let q = named(&UNEVEN, 128, &block[8 + 16 * part..]);
        even(q, half(block, 0) * f32::from(scale - 32))
    }
}

/// `e: u8, qs: [u8; 16]`
impl InParts<17, 32> for Mxfp4 {
    const ZERO: u8 = 16;

    #[inline(always)]
    fn part(block: &[u8; 17], _: usize) -> Parts {
        even(named(&E2M1, 16, &block[1..]), half_of_power(block[0]))
    }
}

/// `d: [u8; 4], qs: [[u8; 8]; 4]`: each 16 numbers have a scale; the first eight of them are in
/// low nibbles.
impl InParts<36, 64> for Nvfp4 {
    const ZERO: u8 = 32;

    #[inline(always)]
    fn part(block: &[u8; 36], part: usize) -> Parts {
        let q = std::array::from_fn(|i| {
            let byte = block[4 + 16 * part + i / 16 * 8 + i % 8];
            32_u8.wrapping_add_signed(E2M1[usize::from(byte >> (i % 16 / 8 * 4) & 15)])
        });
        let scales = [0, 1].map(|i| half_of_e4m3(block[2 * part + i]));
        Parts { q, scales, minimum: 0.0 }
    }
}

/// What 16 bytes of nibbles name, plus `zero`.
#[inline(always)]
fn named(table: &[i8; 16], zero: u8, bytes: &[u8]) -> [u8; 32] {
    std::array::from_fn(|i| {
        let nibble = bytes[i % 16] >> (i / 16 * 4) & 15;
        zero.wrapping_add_signed(table[usize::from(nibble)])
    })
}

/// Half of the power of two that `e8m0` stands for: `2^(e − 128)`.
#[inline(always)]
fn half_of_power(e: u8) -> f32 {
    f32::from_bits(match e {
        0 | 1 => 0x0020_0000 << e, // not normal any more
        _ => u32::from(e - 1) << 23,
    })
}

/// Half of an `e4m3` number whose sign means nothing; what is not a number is zero.
#[inline(always)]
fn half_of_e4m3(x: u8) -> f32 {
    match (x, x >> 3 & 15, x & 7) {
        (0x7f, ..) => 0.0,
        (_, 0, mantissa) => f32::from(mantissa) / 1024.0,
        (_, exponent, mantissa) => {
            f32::from_bits((u32::from(exponent) + 119) << 23 | u32::from(mantissa) << 20)
        }
    }
}
