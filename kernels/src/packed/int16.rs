//! Tiles of panels of 16-bit integers.
//!
//! Invariant: each output adds the same numbers in the same order whatever `MR` is.

use super::{
    Format, GROUP,
    activations::{BAND, BLOCK, View, slot},
    tile::{NR, Sums},
};
use crate::simd::{Dot, LINE, Simd};

/// Pairs of inputs in a block.
const PAIRS: usize = BLOCK / 2;

/// `MR` rows from `row` times the panels that begin at `panels`.
///
/// # Safety
/// Rows and panels are within bounds, and the machine has the instruction set of `D`.
#[inline(always)]
pub(super) unsafe fn tile<D: Dot, const MR: usize>(
    panels: [*const u8; NR],
    x: &View,
    row: usize,
) -> Sums<D, MR> {
    // SAFETY: the caller vouches for bounds and instruction set.
    unsafe {
        if D::WIDE {
            return columns::<D, MR, NR>(panels, x, row);
        }
        let mut tile = [[D::S::zero(); NR]; MR];
        for (n, panel) in panels.into_iter().enumerate() {
            let own = columns::<D, MR, 1>([panel], x, row);
            for (tile, [own]) in tile.iter_mut().zip(own) {
                tile[n] = own;
            }
        }
        tile
    }
}

/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn columns<D: Dot, const MR: usize, const N: usize>(
    panels: [*const u8; N],
    x: &View,
    row: usize,
) -> [[<D::S as Simd>::V; N]; MR] {
    let first = slot(row, x.groups);
    // SAFETY: the caller vouches for bounds and instruction set.
    unsafe {
        let mut acc = [[D::S::zero(); N]; MR];
        for i in 0..x.groups * 2 {
            let (slot, block) = (first + i / 2 * BAND, i % 2);
            let groups = panels.map(|panel| panel.add(i / 2 * Format::Int16.group_bytes()));
            let mut totals = [[D::zero(); N]; MR];
            for pair in block * PAIRS..(block + 1) * PAIRS {
                let lines = groups.map(|group| D::line(group.add(pair * LINE)));
                for (m, totals) in totals.iter_mut().enumerate() {
                    let inputs = x.int16.add((slot + m) * GROUP + pair * 2).cast::<u32>();
                    let inputs = inputs.read_unaligned();
                    for (total, line) in totals.iter_mut().zip(lines) {
                        *total = D::dot16(*total, line, inputs);
                    }
                }
            }
            for (n, group) in groups.into_iter().enumerate() {
                let scales = D::S::load(group.add(2 * PAIRS * LINE).cast());
                for (m, (acc, totals)) in acc.iter_mut().zip(totals).enumerate() {
                    let scale = D::S::splat(*x.int16_scales.add((slot + m) * 2 + block));
                    let scaled = D::S::mul(D::to_f32(totals[n]), scales);
                    acc[n] = D::S::fma(scaled, scale, acc[n]);
                }
            }
        }
        acc
    }
}
