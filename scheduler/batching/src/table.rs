//! The blocks of one sequence: for every block of positions a *column*, with a block of each group
//! of layers.
//!
//! Invariant: columns are whole; the windowed blocks of the first `num_passed` are not the
//! sequence's any more, and their entries mean nothing.

use engine_core::{BlockId, CacheGroups};

/// Columns in order of position.
#[derive(Debug)]
pub(crate) struct Table {
    groups: CacheGroups,
    /// One column after another.
    blocks: Vec<BlockId>,
    num_passed: usize,
}

/// No columns; what holds them is made when its sequence starts.
impl Default for Table {
    fn default() -> Self {
        Self::new(CacheGroups::WHOLE)
    }
}

impl Table {
    pub(crate) fn new(groups: CacheGroups) -> Self {
        Self { groups, blocks: Vec::new(), num_passed: 0 }
    }

    /// Blocks of a column.
    pub(crate) fn width(&self) -> usize {
        self.groups.count() as usize
    }

    pub(crate) fn num_columns(&self) -> usize {
        self.blocks.len() / self.width()
    }

    /// Leading columns without windowed blocks.
    pub(crate) fn num_passed(&self) -> usize {
        self.num_passed
    }

    /// All entries, those that mean nothing among them.
    pub(crate) fn entries(&self) -> &[BlockId] {
        &self.blocks
    }

    pub(crate) fn column(&self, idx: usize) -> &[BlockId] {
        &self.blocks[idx * self.width()..][..self.width()]
    }

    /// Those blocks of a column that its windowed groups have.
    pub(crate) fn windowed_mut(&mut self, idx: usize) -> &mut [BlockId] {
        let width = self.width();
        &mut self.blocks[idx * width..][self.groups.whole as usize..width]
    }

    /// Appends whole columns.
    pub(crate) fn extend(&mut self, blocks: impl IntoIterator<Item = BlockId>) {
        self.blocks.extend(blocks);
        debug_assert_eq!(self.blocks.len() % self.width(), 0, "a column is not whole");
    }

    /// Takes out all columns but the first `num_columns`, none of which is passed.
    pub(crate) fn cut(&mut self, num_columns: usize) -> std::vec::Drain<'_, BlockId> {
        let from = (num_columns * self.width()).min(self.blocks.len());
        self.blocks.drain(from..)
    }

    /// The windowed blocks of the first `num_columns` that are still the sequence's.
    pub(crate) fn passing(&self, num_columns: usize) -> impl DoubleEndedIterator<Item = BlockId> {
        let (width, whole) = (self.width(), self.groups.whole as usize);
        let from = self.num_passed.min(num_columns);
        let columns = self.blocks[from * width..num_columns * width].chunks_exact(width);
        columns.flat_map(move |column| &column[whole..]).copied()
    }

    /// From now on they are not.
    pub(crate) fn pass(&mut self, num_columns: usize) {
        self.num_passed = self.num_passed.max(num_columns);
    }

    /// The blocks that are the sequence's, in order.
    pub(crate) fn held(&self) -> impl DoubleEndedIterator<Item = BlockId> {
        let (passed, whole) = (self.num_passed, self.groups.whole as usize);
        let columns = self.blocks.chunks_exact(self.width()).enumerate();
        columns.flat_map(move |(idx, column)| {
            let is_passed = idx < passed;
            column[..if is_passed { whole } else { column.len() }].iter().copied()
        })
    }

    /// How many these are.
    pub(crate) fn num_held(&self) -> usize {
        self.blocks.len() - self.num_passed * self.groups.windowed as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(blocks: impl Iterator<Item = BlockId>) -> Vec<u32> {
        blocks.map(|block| block.0).collect()
    }

    #[test]
    fn windowed_blocks_are_passed_once_and_the_others_stay() {
        let mut table = Table::new(CacheGroups { whole: 1, windowed: 2, window: 5 });
        table.extend((0..12).map(BlockId));
        assert_eq!((table.num_columns(), table.num_held()), (4, 12));
        assert_eq!(ids(table.passing(2)), [1, 2, 4, 5]);
        table.pass(2);
        assert_eq!(ids(table.passing(1)), []);
        table.pass(1);
        assert_eq!(ids(table.passing(3).rev()), [8, 7]);
        table.pass(3);
        assert_eq!(ids(table.held()), [0, 3, 6, 9, 10, 11]);
        assert_eq!(ids(table.held().rev()), [11, 10, 9, 6, 3, 0]);
        assert_eq!((table.num_held(), table.num_passed()), (6, 3));
        assert_eq!(table.column(3), [9, 10, 11].map(BlockId));
        assert_eq!(table.windowed_mut(3), [10, 11].map(BlockId));
        assert_eq!(table.cut(3).count(), 3);
        assert_eq!((table.num_columns(), table.num_held()), (3, 3));
        assert_eq!(table.cut(9).count(), 0);
    }
}
