//! Super-blocks of 256 whose sub-blocks' scales are quantised themselves.

use super::{Block, affine, centred, nibbles};
use crate::simd::{LANES, Simd};

pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;

/// `d: f16, dmin: f16, scales: [u8; 12], qs: [u8; 128]`
impl Block<144, 256> for Q4K {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 144], dst: &mut [f32; 256]) {
        let (head, qs) = split::<16, 128>(src);
        // SAFETY: the caller vouches for the instruction set.
        let (scales, minima) = unsafe { scales_and_minima::<S>(head) };
        let (runs, _) = dst.as_chunks_mut::<LANES>();
        // Sixteen bytes hold a run of one sub-block in low nibbles, and of the next in high ones.
        for (i, qs) in qs.as_chunks::<LANES>().0.iter().enumerate() {
            for (half, q) in nibbles(qs).iter().enumerate() {
                let sub = 2 * (i / 2) + half;
                let run = &mut runs[2 * sub + i % 2];
                // SAFETY: the caller vouches for the instruction set (so in all formats below).
                unsafe { affine::<S>(q, scales[sub], -minima[sub], run) };
            }
        }
    }
}

/// `d: f16, dmin: f16, scales: [u8; 12], qh: [u8; 32], qs: [u8; 128]`
impl Block<176, 256> for Q5K {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 176], dst: &mut [f32; 256]) {
        let (head, rest) = split::<16, 160>(src);
        let (qh, qs) = split::<32, 128>(rest);
        // SAFETY: the caller vouches for the instruction set.
        let (scales, minima) = unsafe { scales_and_minima::<S>(head) };
        let (qh, _) = qh.as_chunks::<LANES>();
        let (runs, _) = dst.as_chunks_mut::<LANES>();
        for (i, qs) in qs.as_chunks::<LANES>().0.iter().enumerate() {
            for (half, q) in nibbles(qs).iter().enumerate() {
                // Bit `s` of `qh[j]` is the fifth bit of element `j` of sub-block `s`.
                let sub = 2 * (i / 2) + half;
                let q = std::array::from_fn(|j| q[j] | (qh[i % 2][j] >> sub & 1) << 4);
                let run = &mut runs[2 * sub + i % 2];
                // SAFETY: as above.
                unsafe { affine::<S>(&q, scales[sub], -minima[sub], run) };
            }
        }
    }
}

/// `ql: [u8; 128], qh: [u8; 64], scales: [i8; 16], d: f16`
impl Block<210, 256> for Q6K {
    #[inline(always)]
    unsafe fn dequantize<S: Simd>(src: &[u8; 210], dst: &mut [f32; 256]) {
        let (ql, rest) = split::<128, 82>(src);
        let (qh, rest) = split::<64, 18>(rest);
        // SAFETY: the caller vouches for the instruction set.
        let d = unsafe { S::f16([rest[16], rest[17]]) };
        let (ql, _) = ql.as_chunks::<LANES>();
        let (qh, _) = qh.as_chunks::<LANES>();
        let (runs, _) = dst.as_chunks_mut::<LANES>();
        // Each half of 128 elements has four quarters of two runs; a run has a scale of its own.
        // Low quarters are low nibbles, high ones high nibbles, of the same 64 bytes; the upper
        // two bits of all quarters are in the same 32 bytes.
        for (run, dst) in runs.iter_mut().enumerate() {
            let (half, quarter, part) = (run / 8, run / 2 % 4, run % 2);
            let (ql, qh) = (&ql[4 * half + 2 * (quarter % 2) + part], &qh[2 * half + part]);
            let low = nibbles(ql)[quarter / 2];
            let q = std::array::from_fn(|j| low[j] | (qh[j] >> (2 * quarter) & 3) << 4);
            let scale = d * f32::from(rest[run] as i8);
            // SAFETY: as above.
            unsafe { centred::<S>(&q, scale, 32.0, dst) };
        }
    }
}

/// The eight scales and minima of Q4_K and Q5_K from `d: f16, dmin: f16` and twelve bytes of
/// 6-bit numbers: the first four of each in the low bits of bytes 0–3 and 4–7, the others with
/// low nibbles in bytes 8–11 and upper two bits on top of the first ones.
///
/// # Safety
/// The machine has the instruction set of `S`.
#[inline(always)]
pub(super) unsafe fn scales_and_minima<S: Simd>(head: &[u8; 16]) -> ([f32; 8], [f32; 8]) {
    // SAFETY: the caller vouches for the instruction set.
    let d = unsafe { S::f16([head[0], head[1]]) };
    let d_min = unsafe { S::f16([head[2], head[3]]) };
    let (mut scales, mut minima) = ([0.0; 8], [0.0; 8]);
    for i in 0..4 {
        let (s, m, both) = (head[4 + i], head[8 + i], head[12 + i]);
        scales[i] = d * f32::from(s & 63);
        minima[i] = d_min * f32::from(m & 63);
        scales[i + 4] = d * f32::from(both & 15 | s >> 6 << 4);
        minima[i + 4] = d_min * f32::from(both >> 4 | m >> 6 << 4);
    }
    (scales, minima)
}

/// Splits an array in two without a check at run time.
#[inline(always)]
fn split<const A: usize, const B: usize>(src: &[u8]) -> (&[u8; A], &[u8; B]) {
    match (src.first_chunk(), src.last_chunk()) {
        (Some(a), Some(b)) if A + B == src.len() => (a, b),
        _ => unreachable!("blocks have fixed sizes"),
    }
}
