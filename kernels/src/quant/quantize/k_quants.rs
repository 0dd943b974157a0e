//! Super-blocks of 256; see [`super::super::k_quants`] for their layout.

use half::f16;

use super::search::{affine, inverse, squares, stored, symmetric, whole};

/// Scales and minima of eight parts of 32 have six bits.
const MOST_SCALE: f32 = 63.0;

pub(super) fn q4k(x: &[f32; 256]) -> [u8; 144] {
    let (head, q) = with_minima(x, 15.0);
    let mut block = [0; 144];
    block[..16].copy_from_slice(&head);
    put_nibbles(&q, &mut block[16..]);
    block
}

pub(super) fn q5k(x: &[f32; 256]) -> [u8; 176] {
    let (head, q) = with_minima(x, 31.0);
    let mut block = [0; 176];
    block[..16].copy_from_slice(&head);
    for (i, q) in q.iter().enumerate() {
        block[16 + i % 32] |= (q >> 4) << (i / 32);
    }
    put_nibbles(&q, &mut block[48..]);
    block
}

/// 32 bytes hold a part in low nibbles and the next in high ones.
fn put_nibbles(q: &[u8; 256], bytes: &mut [u8]) {
    for (i, byte) in bytes.iter_mut().enumerate() {
        let at = i / 32 * 64 + i % 32;
        *byte = q[at] & 15 | (q[at + 32] & 15) << 4;
    }
}

/// The head of Q4_K and Q5_K, and the integers.
fn with_minima(x: &[f32; 256], most: f32) -> ([u8; 16], [u8; 256]) {
    let (parts, _) = x.as_chunks::<32>();
    let fits: Vec<(f32, f32)> = parts.iter().map(|part| affine(part, most, true)).collect();
    let largest = |of: fn(&(f32, f32)) -> f32| fits.iter().map(of).fold(0.0, f32::max);
    let d = stored(largest(|fit| fit.0) / MOST_SCALE);
    let d_min = stored(largest(|fit| -fit.1) / MOST_SCALE);
    let mut head = [0; 16];
    head[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
    head[2..4].copy_from_slice(&f16::from_f32(d_min).to_le_bytes());
    let mut q = [0; 256];
    for (i, (part, (scale, minimum))) in parts.iter().zip(&fits).enumerate() {
        let s = whole(scale * inverse(d), 0.0, MOST_SCALE);
        let m = whole(-minimum * inverse(d_min), 0.0, MOST_SCALE);
        let (s, m) = nearby(part, (s, m), (d, d_min), most);
        put_six_bits(&mut head, i, (s as u8, m as u8));
        let (steps, minimum) = (inverse(d * s), d_min * m);
        for (q, x) in q[32 * i..].iter_mut().zip(part) {
            *q = whole((x + minimum) * steps, 0.0, most) as u8;
        }
    }
    (head, q)
}

/// The scale and the minimum, of those next to the given ones too, that leave the least error.
fn nearby(x: &[f32], (s, m): (f32, f32), (d, d_min): (f32, f32), most: f32) -> (f32, f32) {
    let mut best = (f32::INFINITY, (s, m));
    for s in [s, s - 1.0, s + 1.0] {
        for m in [m, m - 1.0, m + 1.0] {
            if [s, m].iter().all(|x| (0.0..=MOST_SCALE).contains(x)) {
                let error = squares(x, (d * s, -d_min * m), most);
                if error < best.0 {
                    best = (error, (s, m));
                }
            }
        }
    }
    best.1
}

/// The place of the `i`-th scale and minimum; see [`super::super::k_quants::scales_and_minima`].
fn put_six_bits(head: &mut [u8; 16], i: usize, (scale, minimum): (u8, u8)) {
    if i < 4 {
        head[4 + i] |= scale;
        head[8 + i] |= minimum;
    } else {
        head[i] |= scale >> 4 << 6;
        head[4 + i] |= minimum >> 4 << 6;
        head[8 + i] = scale & 15 | (minimum & 15) << 4;
    }
}

pub(super) fn q6k(x: &[f32; 256]) -> [u8; 210] {
    let (runs, _) = x.as_chunks::<16>();
    let scales: Vec<f32> = runs.iter().map(|run| symmetric(run, 32.0)).collect();
    let largest = scales.iter().fold(0.0_f32, |a, b| if b.abs() > a.abs() { *b } else { a });
    let d = stored(largest / -128.0);
    let mut block = [0; 210];
    block[208..].copy_from_slice(&f16::from_f32(d).to_le_bytes());
    for (run, (x, scale)) in runs.iter().zip(&scales).enumerate() {
        let s = whole(scale * inverse(d), -128.0, 127.0);
        block[192 + run] = (s as i8).cast_unsigned();
        let steps = inverse(d * s);
        // Halves of 128 elements, quarters of 32, two runs each.
        let (half, quarter, part) = (run / 8, run / 2 % 4, run % 2);
        for (j, x) in x.iter().enumerate() {
            let q = (whole(x * steps, -32.0, 31.0) + 32.0) as u8;
            let low = 64 * half + 32 * (quarter % 2) + 16 * part + j;
            block[low] |= (q & 15) << (quarter / 2 * 4);
            block[128 + 32 * half + 16 * part + j] |= (q >> 4) << (2 * quarter);
        }
    }
    block
}
