//! Super-blocks of 256 whose sub-blocks' scales are quantised themselves.

use super::{Block, float::f16_to_f32};

pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;

/// `d: f16, dmin: f16, scales: [u8; 12], qs: [u8; 128]`
impl Block<144, 256> for Q4K {
    #[inline(always)]
    fn dequantize(src: &[u8; 144], dst: &mut [f32; 256]) {
        let (head, qs) = split::<16, 128>(src);
        let (scales, minima) = scales_and_minima(head);
        // 32 bytes hold two sub-blocks of 32: low nibbles, then high nibbles.
        let (qs, _) = qs.as_chunks::<32>();
        let (dst, _) = dst.as_chunks_mut::<64>();
        for (pair, (qs, dst)) in qs.iter().zip(dst).enumerate() {
            let (low, high) = (2 * pair, 2 * pair + 1);
            for j in 0..32 {
                dst[j] = scales[low] * f32::from(qs[j] & 15) - minima[low];
                dst[j + 32] = scales[high] * f32::from(qs[j] >> 4) - minima[high];
            }
        }
    }
}

/// `d: f16, dmin: f16, scales: [u8; 12], qh: [u8; 32], qs: [u8; 128]`
impl Block<176, 256> for Q5K {
    #[inline(always)]
    fn dequantize(src: &[u8; 176], dst: &mut [f32; 256]) {
        let (head, rest) = split::<16, 160>(src);
        let (qh, qs) = split::<32, 128>(rest);
        let (scales, minima) = scales_and_minima(head);
        let (qs, _) = qs.as_chunks::<32>();
        let (dst, _) = dst.as_chunks_mut::<64>();
        for (pair, (qs, dst)) in qs.iter().zip(dst).enumerate() {
            // Bit `s` of `qh[j]` is the fifth bit of element `j` of sub-block `s`.
            let (low, high) = (2 * pair, 2 * pair + 1);
            for j in 0..32 {
                let q_low = qs[j] & 15 | (qh[j] >> low & 1) << 4;
                let q_high = qs[j] >> 4 | (qh[j] >> high & 1) << 4;
                dst[j] = scales[low] * f32::from(q_low) - minima[low];
                dst[j + 32] = scales[high] * f32::from(q_high) - minima[high];
            }
        }
    }
}

/// `ql: [u8; 128], qh: [u8; 64], scales: [i8; 16], d: f16`
impl Block<210, 256> for Q6K {
    #[inline(always)]
    fn dequantize(src: &[u8; 210], dst: &mut [f32; 256]) {
        let (ql, rest) = split::<128, 82>(src);
        let (qh, rest) = split::<64, 18>(rest);
        let d = f16_to_f32([rest[16], rest[17]]);
        let scales: [f32; 16] = std::array::from_fn(|i| d * f32::from(rest[i] as i8));
        // Each half: 128 elements from 64 bytes of nibbles and 32 bytes of bit pairs.
        let (ql, _) = ql.as_chunks::<64>();
        let (qh, _) = qh.as_chunks::<32>();
        let (dst, _) = dst.as_chunks_mut::<128>();
        for (half, ((ql, qh), dst)) in ql.iter().zip(qh).zip(dst).enumerate() {
            // Runs of 16 share a scale: run `r` of quarter `q` has scale `8 half + 2 q + r`.
            for run in 0..2 {
                let scale = |quarter: usize| scales[8 * half + 2 * quarter + run];
                for j in 16 * run..16 * run + 16 {
                    let (a, b, h) = (ql[j], ql[j + 32], qh[j]);
                    dst[j] = scale(0) * six_bits(a & 15, h);
                    dst[j + 32] = scale(1) * six_bits(b & 15, h >> 2);
                    dst[j + 64] = scale(2) * six_bits(a >> 4, h >> 4);
                    dst[j + 96] = scale(3) * six_bits(b >> 4, h >> 6);
                }
            }
        }
    }
}

#[inline(always)]
fn six_bits(low: u8, high: u8) -> f32 {
    f32::from((low | (high & 3) << 4) as i8 - 32)
}

/// The eight scales and minima of Q4_K and Q5_K from `d: f16, dmin: f16` and twelve bytes of
/// 6-bit numbers: the first four of each in the low bits of bytes 0–3 and 4–7, the others with
/// low nibbles in bytes 8–11 and upper two bits on top of the first ones.
#[inline(always)]
fn scales_and_minima(head: &[u8; 16]) -> ([f32; 8], [f32; 8]) {
    let d = f16_to_f32([head[0], head[1]]);
    let d_min = f16_to_f32([head[2], head[3]]);
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
