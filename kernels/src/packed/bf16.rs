//! bfloat16: rounding to it, and rows of activations as one or two of them for the matrix unit.
//!
//! Rows lie as `[sixteen rows][block of 32 inputs][rounded, left][row]`, so that each tile is a run
//! through memory. Invariant: `x` is the sum of both but for 2⁻¹⁸ of itself; where what rounding
//! left is not kept, it is the first but for 2⁻⁹.

use super::{GROUP, activations::BLOCK};

/// Rows of a tile.
pub(super) const ROWS: usize = 16;
/// Rows that are multiplied at once, of which tasks have whole ones.
pub(super) const BAND: usize = 2 * ROWS;
/// Elements of a tile: [`ROWS`] rows' inputs of one block.
const TILE: usize = ROWS * BLOCK;

/// Elements that so many rows of so many groups take, each input in so many numbers.
pub(super) fn len(rows: usize, groups: usize, parts: usize) -> usize {
    rows.next_multiple_of(ROWS) * groups * GROUP * parts
}

/// Where the tile of block `i` of a row begins.
#[inline(always)]
pub(super) fn tile(row: usize, i: usize, (groups, parts): (usize, usize)) -> usize {
    (row / ROWS * groups * (GROUP / BLOCK) + i) * parts * TILE
}

/// Writes a block of a row into its tile and, of two parts, the one after it.
///
/// # Safety
/// The tiles are writable, and no other thread touches this row of them.
#[inline(always)]
pub(super) unsafe fn put(tile: *mut u16, (row, parts): (usize, usize), x: &[f32; BLOCK]) {
    let rounded = round_to_bf16(x);
    // SAFETY: the caller vouches; a row is within its tile.
    let to = unsafe { tile.add(row % ROWS * BLOCK).cast::<[u16; BLOCK]>() };
    if parts == 1 {
        // SAFETY: as above.
        unsafe { to.write(rounded) };
        return;
    }
    let mut left = [0.0; BLOCK];
    for ((left, x), rounded) in left.iter_mut().zip(x).zip(rounded) {
        *left = x - f32::from_bits(u32::from(rounded) << 16);
    }
    // SAFETY: as above.
    unsafe {
        to.write(rounded);
        to.add(ROWS).write(round_to_bf16(&left));
    }
}

/// [`to_bf16`] of each.
#[inline(always)]
pub(crate) fn round_to_bf16<const N: usize>(x: &[f32; N]) -> [u16; N] {
    let mut rounded = [0; N];
    for (rounded, x) in rounded.iter_mut().zip(x) {
        *rounded = to_bf16(*x);
    }
    rounded
}

/// Rounds to the nearest bfloat16, ties to even.
#[inline(always)]
pub(crate) fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    let bits = if x.is_nan() { bits | 0x0040_0000 } else { rounded };
    (bits >> 16) as u16
}
