//! Eight-bit floating-point numbers, bare and with a scale.
//!
//! The block with a scale is our own: published folders keep the scales of tensors, channels or
//! squares of 128 beside the numbers. Whole parts of 32 share one in all of them.

use super::Block;
use crate::simd::Simd;

pub(super) struct F8Scaled;
pub(super) struct F8E4M3;
pub(super) struct F8E5M2;

/// What each byte of `e4m3fn` stands for: a sign, four bits of exponent, three of mantissa; all
/// ones are no number, and there are no infinities.
static NUMBERS: [f32; 256] = {
    let mut numbers = [0.0; 256];
    let mut i = 0;
    while i < 256 {
        let (exponent, mantissa) = (i as u32 >> 3 & 15, i as u32 & 7);
        let number = match (exponent, mantissa) {
            (15, 7) => f32::NAN,
            (0, mantissa) => mantissa as f32 / 512.0,
            _ => f32::from_bits((exponent + 120) << 23 | mantissa << 20),
        };
        numbers[i] = if i < 128 { number } else { -number };
        i += 1;
    }
    numbers
};

/// `scale: f32, q: [e4m3; 32]`
impl Block<36, 32> for F8Scaled {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 36], dst: &mut [f32; 32]) {
        let scale = f32::from_le_bytes([src[0], src[1], src[2], src[3]]);
        for (q, x) in src[4..].iter().zip(dst) {
            *x = scale * NUMBERS[usize::from(*q)];
        }
    }
}

impl Block<1, 1> for F8E4M3 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>([src]: &[u8; 1], [dst]: &mut [f32; 1]) {
        *dst = NUMBERS[usize::from(*src)];
    }
}

/// The upper half of a half.
impl Block<1, 1> for F8E5M2 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>([src]: &[u8; 1], [dst]: &mut [f32; 1]) {
        *dst = crate::simd::f16_to_f32([0, *src]);
    }
}
