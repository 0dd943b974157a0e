//! What some models do to scores before the softmax: a cap, and a number for each distance.
//!
//! Invariant: few models have any of it, so it is no part of each tile's code.

use super::{TILE, rows::Rows};
use crate::elementwise::add_row;

/// What is added to scores by the distance from a position to a key (relative positions as T5 has
/// them).
#[derive(Clone, Copy, Debug)]
pub struct Distances<'a> {
    /// For each query head [`width`](Self::width) numbers, from distance `-reach` on; the last
    /// ones are for no key.
    pub table: &'a [f32],
    /// Positions are below it.
    pub reach: usize,
}

impl Distances<'_> {
    /// Numbers of each head.
    pub const fn width(reach: usize) -> usize {
        2 * reach + TILE
    }

    /// Holds the table against what it is for.
    pub(super) fn check(&self, num_heads: usize) {
        assert_eq!(self.table.len(), num_heads * Self::width(self.reach), "distances");
    }
}

impl Rows<'_> {
    /// What some models do to scores before the softmax.
    ///
    /// # Safety
    /// The piece's instruction set is available.
    #[inline(always)]
    pub(super) unsafe fn adjust(&self, scores: &mut [[f32; TILE]]) {
        // SAFETY: the caller vouches.
        unsafe {
            self.piece.cap(scores.as_flattened_mut());
            if let Some(distances) = &self.piece.params.distances {
                self.add_distances(scores, distances);
            }
        }
    }

    /// # Safety
    /// As [`adjust`](Self::adjust).
    #[inline(never)]
    unsafe fn add_distances(&self, scores: &mut [[f32; TILE]], distances: &Distances<'_>) {
        let width = Distances::width(distances.reach);
        for (m, scores) in scores.iter_mut().enumerate() {
            let row = self.row + m;
            let head = self.piece.kv_head * self.group + row % self.group;
            let from = self.key + distances.reach - self.piece.position(row, self.group);
            let added = &distances.table[head * width..][from..from + TILE];
            // SAFETY: the caller vouches. Scores are to base 2.
            unsafe { add_row(self.piece.isa, scores, Some(added), std::f32::consts::LOG2_E) };
        }
    }
}
