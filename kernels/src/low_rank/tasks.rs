//! How the two products are cut into tasks, and where tasks write.
//!
//! Invariant: no two tasks of a phase write the same number.

use super::{Pair, Pairs, RowGroups};
use crate::pool::Pool;

/// Ranks of a task on the way down.
pub(super) const RANKS: usize = 8;
/// Outputs of a task on the way up: what they read stays in the L1 cache for all rows.
pub(super) const OUTPUTS: usize = 256;
/// Rows of a task.
const ROWS: usize = 32;
/// Where a task's numbers are.
pub(super) struct At<'a> {
    pub(super) target: usize,
    /// The rows, and the place of the first among all that are in groups.
    pub(super) rows: &'a [u32],
    place: usize,
    /// The first rank or output, by the chunk's number.
    pub(super) chunk: usize,
}

/// All tasks of a phase: groups, targets, rows and chunks.
pub(super) struct Grid<'a, 'p> {
    pub(super) groups: &'a RowGroups,
    pub(super) pairs: &'a Pairs<'p>,
    pub(super) num_targets: usize,
    /// Of the largest group.
    pub(super) max_rows: usize,
}

impl Grid<'_, '_> {
    /// Runs `task` for all that has a pair, with up to `num_chunks` chunks each.
    pub(super) fn run(
        &self,
        pool: &mut Pool,
        num_chunks: usize,
        task: &(dyn Fn(At<'_>, Pair<'_>) + Sync),
    ) {
        let row_chunks = self.max_rows.div_ceil(ROWS);
        let per_target = row_chunks * num_chunks;
        pool.run(self.groups.len() * self.num_targets * per_target, &|i, _| {
            let (chunk, i) = (i % num_chunks, i / num_chunks);
            let (first, i) = (i % row_chunks * ROWS, i / row_chunks);
            let (target, group) = (i % self.num_targets, i / self.num_targets);
            let (start, rows) = self.groups.group(group);
            if first >= rows.len() {
                return;
            }
            let rows = &rows[first..rows.len().min(first + ROWS)];
            if let Some(pair) = (self.pairs)(group, target) {
                task(At { target, rows, place: start + first, chunk }, pair);
            }
        });
    }
}

/// Rows of outputs, written by several threads in disjoint places.
pub(super) struct Out {
    pub(super) out: *mut f32,
    pub(super) width: usize,
}
// SAFETY: tasks write disjoint places, as `add_low_rank` sees to.
unsafe impl Sync for Out {}

impl Out {
    pub(super) fn new(out: &mut [f32], width: usize) -> Self {
        Self { out: out.as_mut_ptr(), width }
    }
}

/// What is between the matrices: `[target][row][rank]`.
pub(super) struct Inner {
    numbers: *mut f32,
    num_rows: usize,
    max_rank: usize,
}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Inner {
    pub(super) fn new(numbers: &mut [f32], num_rows: usize, max_rank: usize) -> Self {
        Self { numbers: numbers.as_mut_ptr(), num_rows, max_rank }
    }

    /// Where the numbers of a task's `i`-th row begin.
    pub(super) fn row(&self, at: &At<'_>, i: usize) -> *mut f32 {
        let place = at.target * self.num_rows + at.place + i;
        self.numbers.wrapping_add(place * self.max_rank)
    }
}
