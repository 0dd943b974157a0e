//! The simulated KV cache.
//!
//! A real cache entry depends on its token (or the row in its place), its position, all before it
//! and the adapter they were computed with; here those are what is stored. Invariant: a cell is
//! only believed if it agrees with the cells before it in the same block table.

use engine_core::{EngineLimits, SeqWork, TokenId};

/// What a group of layers wrote at one position of one block.
#[derive(Clone, Copy)]
struct Cell {
    /// The group of layers it is for.
    group: u32,
    position: u32,
    token: TokenId,
    /// Names the row in place of its embedding; 0 if it has none.
    row: u64,
    /// Hash of the adapter and all tokens up to and including this one when it was written.
    prefix: u64,
    /// The step that wrote it.
    step_idx: u64,
}

pub(crate) struct Memory {
    limits: EngineLimits,
    cells: Vec<Option<Cell>>,
}

impl Memory {
    pub(crate) fn new(limits: &EngineLimits) -> Self {
        let EngineLimits { block_size, num_blocks, .. } = *limits;
        let num_cells = block_size as usize * num_blocks as usize;
        Self { limits: *limits, cells: vec![None; num_cells] }
    }

    /// Where a group keeps a position.
    fn slot(&self, work: &SeqWork, (group, position): (u32, u32)) -> Result<usize, String> {
        let EngineLimits { block_size, num_blocks, groups, .. } = self.limits;
        let place = position / block_size * groups.count() + group;
        let block = work.block_table.0.get(place as usize);
        let block = block.ok_or_else(|| format!("no block for position {position}"))?;
        if block.0 >= num_blocks {
            return Err(format!("{block:?} does not exist"));
        }
        let offset = position % block_size;
        Ok(block.0 as usize * block_size as usize + offset as usize)
    }

    /// Reads the cached positions of `work` in every group, of windowed ones in whole blocks that
    /// the window reaches, and returns the hash of all tokens up to there.
    pub(crate) fn read_prefix(&self, work: &SeqWork) -> Result<u64, String> {
        let groups = 0..self.limits.groups.count();
        let mut prefixes = groups.map(|group| self.read_group(work, group));
        let first = prefixes.next().unwrap_or_else(|| Err("no groups".into()))?;
        for (group, prefix) in (1..).zip(prefixes) {
            if prefix? != first {
                return Err(format!("group {group} was computed after another prefix"));
            }
        }
        Ok(first)
    }

    fn read_group(&self, work: &SeqWork, group: u32) -> Result<u64, String> {
        let mut prefix = begin(work);
        let EngineLimits { block_size, groups, .. } = self.limits;
        let passed = self.limits.num_passed_columns(work.num_cached_tokens);
        let first = if group < groups.whole { 0 } else { passed * block_size };
        for position in first..work.num_cached_tokens {
            let slot = self.slot(work, (group, position))?;
            let cell = self.cells[slot]
                .ok_or_else(|| format!("position {position} was never written, or spoilt"))?;
            // What is out of sight shows in the first that is seen.
            let is_told = position == first && first > 0;
            prefix = match is_told {
                true => cell.prefix,
                false => extend(prefix, cell.token, cell.row),
            };
            if (cell.group, cell.position, cell.prefix) != (group, position, prefix) {
                return Err(format!(
                    "position {position} of group {group} holds token {} of position {} of group \
                     {} after another prefix",
                    cell.token, cell.position, cell.group
                ));
            }
        }
        Ok(prefix)
    }

    /// Writes the input of `work` after `prefix`; returns the hash after each input token.
    pub(crate) fn write(
        &mut self,
        work: &SeqWork,
        mut prefix: u64,
        step_idx: u64,
    ) -> Result<Vec<u64>, String> {
        let mut after = Vec::with_capacity(work.input.len());
        let rows = rows(work);
        for ((position, &token), row) in (work.num_cached_tokens..).zip(&work.input).zip(rows) {
            prefix = extend(prefix, token, row);
            for group in 0..self.limits.groups.count() {
                let slot = self.slot(work, (group, position))?;
                if self.cells[slot].is_some_and(|cell| cell.step_idx == step_idx) {
                    return Err(format!("position {position}: written twice in one step"));
                }
                self.cells[slot] = Some(Cell { group, position, token, row, prefix, step_idx });
            }
            after.push(prefix);
        }
        Ok(after)
    }

    /// What a failed step does to the positions it was to write: nothing good is left.
    pub(crate) fn spoil(&mut self, work: &SeqWork) -> Result<(), String> {
        for position in (work.num_cached_tokens..).take(work.input.len()) {
            for group in 0..self.limits.groups.count() {
                let slot = self.slot(work, (group, position))?;
                self.cells[slot] = None;
            }
        }
        Ok(())
    }
}

/// Hash of no tokens: another one with each adapter.
fn begin(work: &SeqWork) -> u64 {
    let bytes = work.adapter.iter().flat_map(|adapter| adapter.id().bytes());
    bytes.fold(0, |hash, byte| mix(hash ^ u64::from(byte)))
}

/// Names of the rows in place of the input's embeddings.
fn rows(work: &SeqWork) -> Vec<u64> {
    let mut rows = vec![0; work.input.len()];
    for inset in &work.insets {
        let id = inset.rows.id().iter().fold(1, |hash: u64, byte| mix(hash ^ u64::from(*byte)));
        let names = (u64::from(inset.first_row)..).map(|row| mix(id ^ row) | 1);
        rows[inset.positions()].iter_mut().zip(names).for_each(|(row, name)| *row = name);
    }
    rows
}

/// Hash of a prefix and one more token, or row in its place.
fn extend(prefix: u64, token: TokenId, row: u64) -> u64 {
    mix(prefix.wrapping_add(u64::from(token) + 1) ^ row)
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
