//! Plain floating point numbers, little-endian, read from unaligned bytes.

use super::Block;
use crate::simd::Simd;

pub(super) struct F32;
pub(super) struct F16;
pub(super) struct BF16;

impl Block<4, 1> for F32 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 4], dst: &mut [f32; 1]) {
        dst[0] = f32::from_le_bytes(*src);
    }
}

impl Block<2, 1> for F16 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 2], dst: &mut [f32; 1]) {
        // SAFETY: the caller vouches for the instruction set.
        dst[0] = unsafe { S::f16(*src) };
    }
}

impl Block<2, 1> for BF16 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 2], dst: &mut [f32; 1]) {
        dst[0] = f32::from_bits(u32::from(u16::from_le_bytes(*src)) << 16);
    }
}
