//! Blocks of 32; see [`super::super::legacy`] for their layout.

use half::f16;

use super::search::{affine, inverse, stored, symmetric, whole};

/// Integers of a block, moved so that they begin at 0.
type Integers = [u8; 32];

/// The largest number gets 127 steps: eight bits leave nothing to search for.
pub(super) fn q8_0(x: &[f32; 32]) -> [u8; 34] {
    let d = x.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / 127.0;
    let steps = inverse(d);
    let mut block = [0; 34];
    block[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
    for (x, q) in x.iter().zip(&mut block[2..]) {
        // Halves go away from zero, as in the reference.
        *q = ((x * steps).round() as i8).cast_unsigned();
    }
    block
}

pub(super) fn q4_0(x: &[f32; 32]) -> [u8; 18] {
    let (d, q) = centred(x, 8.0);
    let mut block = [0; 18];
    block[..2].copy_from_slice(&d);
    put_nibbles(&q, &mut block[2..]);
    block
}

pub(super) fn q4_1(x: &[f32; 32]) -> [u8; 20] {
    let (d, m, q) = with_minimum(x, 15.0);
    let mut block = [0; 20];
    block[..2].copy_from_slice(&d);
    block[2..4].copy_from_slice(&m);
    put_nibbles(&q, &mut block[4..]);
    block
}

pub(super) fn q5_0(x: &[f32; 32]) -> [u8; 22] {
    let (d, q) = centred(x, 16.0);
    let mut block = [0; 22];
    block[..2].copy_from_slice(&d);
    block[2..6].copy_from_slice(&fifth_bits(&q));
    put_nibbles(&q, &mut block[6..]);
    block
}

pub(super) fn q5_1(x: &[f32; 32]) -> [u8; 24] {
    let (d, m, q) = with_minimum(x, 31.0);
    let mut block = [0; 24];
    block[..2].copy_from_slice(&d);
    block[2..4].copy_from_slice(&m);
    block[4..8].copy_from_slice(&fifth_bits(&q));
    put_nibbles(&q, &mut block[8..]);
    block
}

fn centred(x: &[f32; 32], most: f32) -> ([u8; 2], Integers) {
    let d = stored(symmetric(x, most));
    let steps = inverse(d);
    let q = x.map(|x| (whole(x * steps, -most, most - 1.0) + most) as u8);
    (f16::from_f32(d).to_le_bytes(), q)
}

fn with_minimum(x: &[f32; 32], most: f32) -> ([u8; 2], [u8; 2], Integers) {
    let (d, m) = affine(x, most, false);
    let (d, m) = (stored(d), stored(m));
    let steps = inverse(d);
    let q = x.map(|x| whole((x - m) * steps, 0.0, most) as u8);
    (f16::from_f32(d).to_le_bytes(), f16::from_f32(m).to_le_bytes(), q)
}

fn put_nibbles(q: &Integers, bytes: &mut [u8]) {
    for (j, byte) in bytes.iter_mut().enumerate() {
        *byte = q[j] & 15 | (q[j + 16] & 15) << 4;
    }
}

fn fifth_bits(q: &Integers) -> [u8; 4] {
    let bits = q.iter().enumerate().fold(0, |bits, (j, q)| bits | u32::from(q >> 4) << j);
    bits.to_le_bytes()
}
