//! Blocks of 32 with one scale (`_0`: symmetric) or a scale and a minimum (`_1`).
//!
//! Element `j` of the first half sits in the low nibble of `qs[j]`, of the second half in the
//! high nibble; the fifth bit of element `j` is bit `j` of `qh`.

use super::{Block, float::f16_to_f32};

pub(super) struct Q4_0;
pub(super) struct Q4_1;
pub(super) struct Q5_0;
pub(super) struct Q5_1;
pub(super) struct Q8_0;

/// `d: f16, qs: [i8; 32]`
impl Block<34, 32> for Q8_0 {
    #[inline(always)]
    fn dequantize(src: &[u8; 34], dst: &mut [f32; 32]) {
        let d = f16_to_f32([src[0], src[1]]);
        for j in 0..32 {
            dst[j] = d * f32::from(src[2 + j] as i8);
        }
    }
}

/// `d: f16, qs: [u8; 16]`
impl Block<18, 32> for Q4_0 {
    #[inline(always)]
    fn dequantize(src: &[u8; 18], dst: &mut [f32; 32]) {
        let d = f16_to_f32([src[0], src[1]]);
        for j in 0..16 {
            let q = src[2 + j];
            dst[j] = d * f32::from((q & 15) as i8 - 8);
            dst[j + 16] = d * f32::from((q >> 4) as i8 - 8);
        }
    }
}

/// `d: f16, m: f16, qs: [u8; 16]`
impl Block<20, 32> for Q4_1 {
    #[inline(always)]
    fn dequantize(src: &[u8; 20], dst: &mut [f32; 32]) {
        let d = f16_to_f32([src[0], src[1]]);
        let m = f16_to_f32([src[2], src[3]]);
        for j in 0..16 {
            let q = src[4 + j];
            dst[j] = d * f32::from(q & 15) + m;
            dst[j + 16] = d * f32::from(q >> 4) + m;
        }
    }
}

/// `d: f16, qh: u32, qs: [u8; 16]`
impl Block<22, 32> for Q5_0 {
    #[inline(always)]
    fn dequantize(src: &[u8; 22], dst: &mut [f32; 32]) {
        let d = f16_to_f32([src[0], src[1]]);
        let qh = u32::from_le_bytes([src[2], src[3], src[4], src[5]]);
        for j in 0..16 {
            let q = src[6 + j];
            dst[j] = d * f32::from((q & 15 | fifth_bit(qh, j)) as i8 - 16);
            dst[j + 16] = d * f32::from((q >> 4 | fifth_bit(qh, j + 16)) as i8 - 16);
        }
    }
}

/// `d: f16, m: f16, qh: u32, qs: [u8; 16]`
impl Block<24, 32> for Q5_1 {
    #[inline(always)]
    fn dequantize(src: &[u8; 24], dst: &mut [f32; 32]) {
        let d = f16_to_f32([src[0], src[1]]);
        let m = f16_to_f32([src[2], src[3]]);
        let qh = u32::from_le_bytes([src[4], src[5], src[6], src[7]]);
        for j in 0..16 {
            let q = src[8 + j];
            dst[j] = d * f32::from(q & 15 | fifth_bit(qh, j)) + m;
            dst[j + 16] = d * f32::from(q >> 4 | fifth_bit(qh, j + 16)) + m;
        }
    }
}

#[inline(always)]
fn fifth_bit(qh: u32, j: usize) -> u8 {
    ((qh >> j & 1) << 4) as u8
}
