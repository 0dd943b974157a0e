//! Writing keys and values where products read them.
//!
//! Invariant: places are those that `cache.rs` tells of, for every number format; what is written
//! of a position does not depend on the instruction set nor on what is written beside it.

use super::{
    BLOCK_SIZE, Run,
    cache::{Cache, KvDtype},
    softmax::ROUND,
};
use crate::{
    packed::round_to_bf16,
    simd::{Dot, LANES, LINE, on_each_isa},
};

on_each_isa! {
    /// Writes the run's positions of one head.
    ///
    /// # Safety
    /// `isa` is available, places are in bounds, and no other thread touches this head.
    write_head = write(
        cache: &Cache<'_>,
        run: &Run<'_>,
        head: usize,
        rows: (&[f32], &[f32])
    )
}

/// A head's tiles, and the position's place in their block.
struct Place {
    keys: *mut u8,
    values: *mut u8,
    /// Bytes of the tile of values.
    value_bytes: usize,
    /// Lines of one position's values.
    value_lines: usize,
    offset: usize,
}

/// # Safety
/// See [`write_head`].
#[inline(always)]
unsafe fn write<D: Dot>(
    cache: &Cache<'_>,
    run: &Run<'_>,
    head: usize,
    (keys, values): (&[f32], &[f32]),
) {
    let layout = cache.layout();
    let (dim, width) = (layout.head_dim, layout.num_kv_heads * layout.head_dim);
    for row in 0..run.num_rows {
        let position = run.position + row;
        let at = (run.first_row + row) * width + head * dim;
        let (k, v) = (&keys[at..at + dim], &values[at..at + dim]);
        let (to_keys, to_values) = cache.tiles(run.blocks[position / BLOCK_SIZE], head);
        let place = Place {
            keys: to_keys,
            values: to_values,
            value_bytes: layout.value_bytes(),
            value_lines: layout.value_lines(),
            offset: position % BLOCK_SIZE,
        };
        // SAFETY: both tiles are in bounds, and the caller keeps others away.
        unsafe {
            if place.offset == 0 {
                // Scales, too.
                to_values.write_bytes(0, layout.head_bytes() - layout.key_lines() * LINE);
            }
            match layout.dtype {
                KvDtype::F32 => place.put_floats(k, v),
                KvDtype::Bf16 => place.put_bf16(k, v),
                KvDtype::Int8 => place.put_bytes(k, v),
            }
        }
    }
}

/// The `i`-th `N` elements, the last ones filled up with zeros.
#[inline(always)]
fn chunk<const N: usize>(x: &[f32], i: usize) -> [f32; N] {
    let x = &x[i * N..];
    match x.first_chunk() {
        Some(whole) => *whole,
        None => {
            let mut last = [0.0; N];
            last[..x.len()].copy_from_slice(x);
            last
        }
    }
}

/// # Safety
/// In all of these, tiles are those of the cache's layout and number format, `k` and `v` a head's
/// elements, and no other thread touches the tiles.
impl Place {
    unsafe fn put_floats(&self, k: &[f32], v: &[f32]) {
        // SAFETY: the caller vouches; a line has an element of keys, or sixteen of values.
        unsafe {
            let to = self.keys.cast::<f32>().add(self.offset);
            k.iter().enumerate().for_each(|(d, k)| to.add(d * LANES).write(*k));
            let to = self.values.cast::<f32>().add(self.offset * self.value_lines * LANES);
            to.copy_from_nonoverlapping(v.as_ptr(), v.len());
        }
    }

    #[inline(always)]
    unsafe fn put_bf16(&self, k: &[f32], v: &[f32]) {
        const ELEMENTS: usize = 2 * LANES;
        // SAFETY: the caller vouches; lines have pairs: of elements of keys, of positions' values.
        unsafe {
            let to = self.keys.cast::<u32>().add(self.offset);
            for i in 0..k.len().div_ceil(ELEMENTS) {
                let rounded = round_to_bf16(&chunk::<ELEMENTS>(k, i));
                let num = (k.len() - i * ELEMENTS).div_ceil(2).min(LANES);
                for (j, [a, b]) in rounded.as_chunks::<2>().0[..num].iter().enumerate() {
                    let pair = u32::from(*a) | u32::from(*b) << 16;
                    to.add((i * LANES + j) * LANES).write(pair);
                }
            }
            let to = self.values.cast::<[u32; LANES]>().add(self.offset / 2 * self.value_lines);
            let shift = self.offset % 2 * 16;
            for i in 0..self.value_lines {
                let rounded = round_to_bf16(&chunk::<LANES>(v, i));
                merge(to.add(i), rounded, (shift, 0xffff));
            }
        }
    }

    #[inline(always)]
    unsafe fn put_bytes(&self, k: &[f32], v: &[f32]) {
        const ELEMENTS: usize = 4 * LANES;
        // SAFETY: the caller vouches; lines have fours: of elements of keys, of positions' values.
        unsafe {
            let scales = self.values.add(self.value_bytes).cast::<f32>();
            let (scale, inverse) = scale_of(k);
            scales.add(self.offset).write(scale);
            let to = self.keys.cast::<u32>().add(self.offset);
            for i in 0..k.len().div_ceil(ELEMENTS) {
                let bytes = to_bytes(&chunk::<ELEMENTS>(k, i), inverse);
                let num = (k.len() - i * ELEMENTS).div_ceil(4).min(LANES);
                for (j, [a, b, c, d]) in bytes.as_chunks::<4>().0[..num].iter().enumerate() {
                    to.add((i * LANES + j) * LANES).write(u32::from_le_bytes([*a, *c, *b, *d]));
                }
            }
            let (scale, inverse) = scale_of(v);
            scales.add(BLOCK_SIZE + self.offset).write(scale);
            let to = self.values.cast::<[u32; LANES]>().add(self.offset / 4 * self.value_lines);
            let shift = [0, 16, 8, 24][self.offset % 4];
            for i in 0..self.value_lines {
                let bytes = to_bytes(&chunk::<LANES>(v, i), inverse);
                merge(to.add(i), bytes, (shift, 0xff));
            }
        }
    }
}

/// Puts `x` into the bits of a line's lanes that `mask`, shifted, covers.
///
/// # Safety
/// `line` can be read and written.
#[inline(always)]
unsafe fn merge<T: Into<u32>>(line: *mut [u32; LANES], x: [T; LANES], (shift, mask): (usize, u32)) {
    // SAFETY: the caller vouches.
    unsafe {
        let mut lanes = line.read_unaligned();
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane = *lane & !(mask << shift) | x.into() << shift;
        }
        line.write_unaligned(lanes);
    }
}

/// The scale of a vector and its inverse. What is not a number makes it so, and shows in every
/// output.
#[inline(always)]
fn scale_of(x: &[f32]) -> (f32, f32) {
    // As integers magnitudes have the same order, and what is not a number is above all.
    let max = x.iter().fold(0, |max, x| x.abs().to_bits().max(max));
    let max = f32::from_bits(max);
    (max / 127.0, if max == 0.0 { 0.0 } else { 127.0 / max })
}

/// `round(x * inverse)` of each, ties to even, of a magnitude up to 127: signed bytes.
#[inline(always)]
fn to_bytes<const N: usize>(x: &[f32; N], inverse: f32) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, x) in bytes.iter_mut().zip(x) {
        // Without SSE4.1, which a plain build may not assume, rounding by its name is a call.
        *byte = (x * inverse + ROUND).to_bits() as u8;
    }
    bytes
}
