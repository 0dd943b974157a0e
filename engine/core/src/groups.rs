//! Which layers have cache blocks of their own.
//!
//! Layers that see everything need all blocks of a sequence, those with a window the last ones
//! only; so they are in different groups, and each group has a block for every `block_size`
//! positions: together a *column*. Invariant: blocks of all groups are alike, so one pool serves
//! all.

/// The groups of an engine's layers. In a column, blocks of whole groups come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheGroups {
    /// Groups whose layers see all positions before their own.
    pub whole: u32,
    /// Groups whose layers do not; there is at least one group of either kind.
    pub windowed: u32,
    /// In these a position reads nothing but itself and the `window - 1` before it.
    pub window: u32,
}

impl CacheGroups {
    /// All layers in one group, which sees everything.
    pub const WHOLE: Self = Self { whole: 1, windowed: 0, window: u32::MAX };

    /// All layers in one group with this window.
    pub const fn windowed(window: u32) -> Self {
        Self { whole: 0, windowed: 1, window }
    }

    /// Blocks of a column.
    pub const fn count(&self) -> u32 {
        self.whole.saturating_add(self.windowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlockTable, EngineLimits};

    const LIMITS: EngineLimits = EngineLimits {
        block_size: 4,
        num_blocks: 60,
        max_model_len: 1000,
        max_step_tokens: 8,
        max_step_seqs: 4,
        vocab_size: 10,
        groups: CacheGroups::WHOLE,
    };

    fn with(whole: u32, windowed: u32, window: u32) -> EngineLimits {
        EngineLimits { groups: CacheGroups { whole, windowed, window }, ..LIMITS }
    }

    #[test]
    fn a_window_and_a_step_lie_in_no_more_columns_than_said() {
        for (window, max_step_tokens) in [(1, 1), (2, 1), (5, 4), (10, 8), (4, 4), (7, 1), (1, 9)] {
            let limits = EngineLimits { max_step_tokens, ..with(1, 1, window) };
            let held = |at: u32| {
                (at + max_step_tokens).div_ceil(limits.block_size) - limits.num_passed_columns(at)
            };
            let most = (0..200).map(held).max().expect("positions");
            assert_eq!(limits.max_windowed_columns(), most, "{window} {max_step_tokens}");
        }
    }

    #[test]
    fn no_block_is_passed_that_the_next_position_reads() {
        let limits = with(1, 1, 6);
        let passed = [0, 5, 8, 9, 12, 13].map(|computed| limits.num_passed_columns(computed));
        // Position 9 reads 4 and on, position 13 reads 8 and on.
        assert_eq!(passed, [0, 0, 0, 1, 1, 2]);
        assert_eq!(with(1, 0, u32::MAX).num_passed_columns(u32::MAX), 0);
    }

    #[test]
    fn the_longest_sequence_is_what_the_blocks_hold_of_one() {
        assert_eq!(LIMITS.max_sequence_len(), 240);
        // A window of 10 and 8 at a time may lie in 5 columns of 4.
        assert_eq!(with(1, 0, u32::MAX).max_sequence_len(), 240);
        assert_eq!(with(1, 2, 10).max_sequence_len(), (60 - 2 * 5) * 4);
        assert_eq!(with(2, 4, 10).max_sequence_len(), (60 - 4 * 5) / 2 * 4);
        assert_eq!(with(0, 1, 10).max_sequence_len(), 1000);
        // Windows that reach beyond the cache gain nothing and lose nothing.
        assert_eq!(with(1, 2, 500).max_sequence_len(), 80);
        assert_eq!(with(0, 1, 500).max_sequence_len(), 240);
        let few = EngineLimits { num_blocks: 2, ..with(1, 2, 10) };
        assert_eq!(few.max_sequence_len(), 0);
        let huge = EngineLimits { num_blocks: u32::MAX, block_size: 16, ..with(1, 2, u32::MAX) };
        assert_eq!(huge.max_sequence_len(), 1000);
    }

    #[test]
    fn a_sequence_alone_has_blocks_as_long_as_it_may_be() {
        for limits in [LIMITS, with(1, 2, 10), with(2, 4, 10), with(0, 1, 10), with(1, 2, 500)] {
            let (len, width) = (limits.max_sequence_len(), limits.groups.count() as usize);
            let blocks = BlockTable::alone(&limits, len).0;
            assert_eq!(blocks.len(), len.div_ceil(limits.block_size) as usize * width);
            assert!(blocks.iter().all(|block| block.0 < limits.num_blocks), "{limits:?}");
            // Nothing that a step reads or writes is in another place too.
            for at in 0..len.saturating_sub(limits.max_step_tokens) {
                let end = (at + limits.max_step_tokens).div_ceil(limits.block_size) as usize;
                let passed = limits.num_passed_columns(at) as usize;
                let columns = blocks.chunks(width).enumerate().take(end);
                let held: Vec<_> = columns
                    .flat_map(|(idx, column)| match idx < passed {
                        true => &column[..limits.groups.whole as usize],
                        false => column,
                    })
                    .collect();
                let distinct: std::collections::HashSet<_> = held.iter().collect();
                assert_eq!(distinct.len(), held.len(), "{limits:?} at {at}");
            }
        }
    }
}
