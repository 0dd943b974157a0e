//! What the prefix cache holds of a sequence that is to start.
//!
//! Whole groups need all blocks before a position, windowed ones those that its window reaches:
//! the others may have been evicted.
//! Invariant: only columns count as cached of which everything that is read later is there.

use engine_core::BlockId;

use super::Planner;
use crate::prefix::BlockHash;
use crate::sequence::Sequence;
use crate::table::Table;

impl Planner {
    /// The leading columns of a sequence that the prefix cache holds, not yet referenced, and how
    /// many it was allowed to take: the last token is always computed, and so are positions to be
    /// scored.
    pub(super) fn find_cached(&self, seq: &mut Sequence) -> (Table, usize) {
        let mut table = Table::new(self.limits.groups);
        if !self.config.prefix_caching {
            return (table, 0);
        }
        seq.extend_hashes(&self.key, self.block_size());
        let last = seq.len() - 1;
        let unscored = self.requests.get(&seq.common.request.id).filter(|r| r.needs_scores());
        let limit = unscored.map_or(last, |live| live.scores.len().min(last)) / self.block_size();
        let hashes = &seq.hashes[..limit];
        self.find_whole(hashes, &mut table);
        self.find_windowed(hashes, &mut table);
        (table, limit)
    }

    /// Fills in columns as long as all blocks of whole groups are there.
    fn find_whole(&self, hashes: &[BlockHash], table: &mut Table) {
        let groups = self.limits.groups;
        let mut column = Vec::with_capacity(table.width());
        for hash in hashes {
            let blocks = (0..groups.whole as usize).map(|group| self.find(hash, group));
            column.extend(blocks.map_while(|block| block));
            if column.len() < groups.whole as usize {
                return;
            }
            // Windowed blocks are filled in where they are needed.
            column.resize(table.width(), BlockId(0));
            table.extend(column.drain(..));
        }
    }

    /// Fills in the windowed blocks that the next position reads, after taking out as many columns
    /// as it takes to find them.
    fn find_windowed(&self, hashes: &[BlockHash], table: &mut Table) {
        let whole = self.limits.groups.whole as usize;
        let mut idx = table.num_columns();
        loop {
            let num_cached = table.num_columns() * self.block_size();
            let passed = self.limits.num_passed_columns(num_cached as u32) as usize;
            if idx <= passed || whole == table.width() {
                table.pass(passed);
                return;
            }
            idx -= 1;
            let blocks = (whole..).zip(table.windowed_mut(idx));
            let mut found = blocks.map(|(group, to)| match self.find(&hashes[idx], group) {
                Some(block) => {
                    *to = block;
                    true
                }
                None => false,
            });
            if !found.all(|is_found| is_found) {
                table.cut(idx);
            }
        }
    }

    fn find(&self, hash: &BlockHash, group: usize) -> Option<BlockId> {
        self.pool.lookup(&hash.of_group(group))
    }
}
