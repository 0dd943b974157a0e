//! Whole numbers, little-endian; large ones are rounded.

use super::Block;
use crate::simd::Simd;

pub(super) struct I8;
pub(super) struct U8;
pub(super) struct I32;
pub(super) struct I64;

impl Block<1, 1> for I8 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 1], [dst]: &mut [f32; 1]) {
        *dst = f32::from(i8::from_le_bytes(*src));
    }
}

impl Block<1, 1> for U8 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>([src]: &[u8; 1], [dst]: &mut [f32; 1]) {
        *dst = f32::from(*src);
    }
}

impl Block<4, 1> for I32 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 4], [dst]: &mut [f32; 1]) {
        *dst = i32::from_le_bytes(*src) as f32;
    }
}

impl Block<8, 1> for I64 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 8], [dst]: &mut [f32; 1]) {
        *dst = i64::from_le_bytes(*src) as f32;
    }
}
