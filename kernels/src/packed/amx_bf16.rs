//! Rows of activations times two panels of bfloat16 on the matrix unit.
//!
//! Invariant: however many rows there are, one as well, they go this way: a row's sums are of the
//! same products in the same order.

use super::{
    GROUP,
    activations::{BLOCK, View},
    bf16::{self, BAND},
    sinks::Sink,
    tile::{NR, Outputs},
};
use crate::simd::{
    Avx512, LINE,
    amx::{
        Config, Configured,
        bf16::{Operands, ROWS, TILE_BYTES, one, two},
    },
};

const _: () = assert!(ROWS == bf16::ROWS && NR == 2);
const _: () = assert!(TILE_BYTES == BLOCK / 2 * LINE);

/// Outputs of a band, in whole lines.
#[repr(C, align(64))]
struct Band([Outputs; BAND]);

/// Tiles for a task of so many rows.
///
/// # Safety
/// As [`Configured::new`].
pub(super) unsafe fn configure(rows: usize) -> Configured {
    // SAFETY: the caller vouches.
    unsafe { Configured::new(&Config::bf16(rows.min(ROWS))) }
}

/// Multiplies `rows` (the first, which begins a tile, and how many) with panels, and gives the
/// outputs of panels from `panel` on to `sink`.
///
/// # Safety
/// Rows and panels are within bounds, the form of activations is kept, tiles are
/// [configured](configure), for these rows or for more than a tile's.
#[inline(always)]
pub(super) unsafe fn multiply<S: Sink>(
    panels: ([*const u8; NR], usize),
    x: &View,
    rows: (usize, usize),
    sink: &mut S,
) {
    // SAFETY: the caller vouches.
    unsafe {
        match x.bf16_parts {
            1 => parts::<S, 1>(panels, x, rows, sink),
            _ => parts::<S, 2>(panels, x, rows, sink),
        }
    }
}

/// As [`multiply`], of inputs in so many numbers.
///
/// # Safety
/// As [`multiply`].
#[inline(always)]
unsafe fn parts<S: Sink, const PARTS: usize>(
    (from, panel): ([*const u8; NR], usize),
    x: &View,
    (first, rows): (usize, usize),
    sink: &mut S,
) {
    let mut band = Band([[0.0; BLOCK]; BAND]);
    let steps = x.groups * GROUP / BLOCK;
    let mut operands = Operands { x: x.bf16.cast(), panels: from, steps, from_memory: true };
    for row in (0..rows).step_by(BAND) {
        let (at, left) = (first + row, rows - row);
        operands.x = x.bf16.wrapping_add(bf16::tile(at, 0, (x.groups, PARTS))).cast();
        // SAFETY: the caller vouches; rows are kept in whole tiles.
        unsafe {
            let to = band.0.as_mut_ptr().cast();
            if left > ROWS {
                two::<PARTS>(&operands, to);
            } else {
                one::<PARTS>(&operands, to);
            }
            sink.take::<Avx512>((at, panel), &band.0[..BAND.min(left)]);
        }
        operands.from_memory = false;
    }
    const { assert!(size_of::<Outputs>() == 2 * LINE) };
}
