//! Blocks of 32 with one scale (`_0`: symmetric) or a scale and a minimum (`_1`).
//!
//! Element `j` of the first half sits in the low nibble of `qs[j]`, of the second half in the
//! high nibble; the fifth bit of element `j` is bit `j` of `qh`.

use super::{Block, affine, centred, nibbles};
use crate::simd::{LANES, Simd};

pub(super) struct Q4_0;
pub(super) struct Q4_1;
pub(super) struct Q5_0;
pub(super) struct Q5_1;
pub(super) struct Q8_0;

/// `d: f16, qs: [i8; 32]`
impl Block<34, 32> for Q8_0 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 34], dst: &mut [f32; 32]) {
        // SAFETY: the caller vouches for the instruction set.
        let d = unsafe { S::f16([src[0], src[1]]) };
        let (qs, _) = src[2..].as_chunks::<LANES>();
        for (qs, dst) in qs.iter().zip(dst.as_chunks_mut().0) {
            // Two's complement with its sign bit turned is the number plus 128.
            // SAFETY: the caller vouches for the instruction set (so in all formats below).
            unsafe { centred::<S>(&qs.map(|q| q ^ 0x80), d, 128.0, dst) };
        }
    }
}

/// `d: f16, qs: [u8; 16]`
impl Block<18, 32> for Q4_0 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 18], dst: &mut [f32; 32]) {
        // SAFETY: the caller vouches for the instruction set.
        let d = unsafe { S::f16([src[0], src[1]]) };
        for (q, dst) in halves::<18>(src).iter().zip(dst.as_chunks_mut().0) {
            // SAFETY: as above.
            unsafe { centred::<S>(q, d, 8.0, dst) };
        }
    }
}

/// `d: f16, m: f16, qs: [u8; 16]`
impl Block<20, 32> for Q4_1 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 20], dst: &mut [f32; 32]) {
        // SAFETY: the caller vouches for the instruction set.
        let d = unsafe { S::f16([src[0], src[1]]) };
        let m = unsafe { S::f16([src[2], src[3]]) };
        for (q, dst) in halves::<20>(src).iter().zip(dst.as_chunks_mut().0) {
            // SAFETY: as above.
            unsafe { affine::<S>(q, d, m, dst) };
        }
    }
}

/// `d: f16, qh: u32, qs: [u8; 16]`
impl Block<22, 32> for Q5_0 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 22], dst: &mut [f32; 32]) {
        // SAFETY: the caller vouches for the instruction set.
        let d = unsafe { S::f16([src[0], src[1]]) };
        let qh = u32::from_le_bytes([src[2], src[3], src[4], src[5]]);
        let q = with_fifth_bits(halves::<22>(src), qh);
        for (q, dst) in q.iter().zip(dst.as_chunks_mut().0) {
            // SAFETY: as above.
            unsafe { centred::<S>(q, d, 16.0, dst) };
        }
    }
}

/// `d: f16, m: f16, qh: u32, qs: [u8; 16]`
impl Block<24, 32> for Q5_1 {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 24], dst: &mut [f32; 32]) {
        // SAFETY: the caller vouches for the instruction set.
        let d = unsafe { S::f16([src[0], src[1]]) };
        let m = unsafe { S::f16([src[2], src[3]]) };
        let qh = u32::from_le_bytes([src[4], src[5], src[6], src[7]]);
        let q = with_fifth_bits(halves::<24>(src), qh);
        for (q, dst) in q.iter().zip(dst.as_chunks_mut().0) {
            // SAFETY: as above.
            unsafe { affine::<S>(q, d, m, dst) };
        }
    }
}

/// Nibbles of the last sixteen bytes: first half of the block, second half.
#[inline(always)]
fn halves<const BYTES: usize>(src: &[u8; BYTES]) -> [[u8; LANES]; 2] {
    src.last_chunk().map_or([[0; LANES]; 2], nibbles)
}

/// Adds bit `j` of `qh` on top of element `j`.
#[inline(always)]
fn with_fifth_bits([low, high]: [[u8; LANES]; 2], qh: u32) -> [[u8; LANES]; 2] {
    let bit = |j: usize| ((qh >> j & 1) << 4) as u8;
    [std::array::from_fn(|j| low[j] | bit(j)), std::array::from_fn(|j| high[j] | bit(j + LANES))]
}
