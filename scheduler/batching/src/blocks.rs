//! The blocks of the KV cache: reference counts, free blocks, and cached ones under their hash.
//!
//! A block is free (no contents), used (referenced by block tables) or cached (unreferenced, its
//! contents kept under a hash until the room is needed, least recently released first).
//! Invariant: free + used + cached = all, and a hash names exactly the block that holds it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use engine_core::BlockId;

use crate::lru::Lru;
use crate::prefix::BlockHash;

/// All blocks of one engine.
pub(crate) struct BlockPool {
    ref_counts: Vec<u32>,
    hashes: Vec<Option<BlockHash>>,
    by_hash: HashMap<BlockHash, BlockId>,
    free: Vec<BlockId>,
    cached: Lru,
}

impl BlockPool {
    pub(crate) fn new(num_blocks: u32) -> Self {
        Self {
            ref_counts: vec![0; num_blocks as usize],
            hashes: vec![None; num_blocks as usize],
            by_hash: HashMap::new(),
            free: (0..num_blocks).rev().map(BlockId).collect(),
            cached: Lru::new(num_blocks),
        }
    }

    pub(crate) fn num_total(&self) -> usize {
        self.ref_counts.len()
    }

    /// Unreferenced blocks with contents worth keeping.
    pub(crate) fn num_cached(&self) -> usize {
        self.cached.len()
    }

    /// Blocks that `allocate` can give.
    pub(crate) fn num_available(&self) -> usize {
        self.free.len() + self.cached.len()
    }

    pub(crate) fn is_referenced(&self, block: BlockId) -> bool {
        self.ref_counts[block.0 as usize] > 0
    }

    /// A block with one reference and no contents; evicts a cached one if none is free.
    pub(crate) fn allocate(&mut self) -> Option<BlockId> {
        let block = self.free.pop().or_else(|| self.evict())?;
        self.ref_counts[block.0 as usize] = 1;
        Some(block)
    }

    fn evict(&mut self) -> Option<BlockId> {
        let block = BlockId(self.cached.pop_front()?);
        if let Some(hash) = self.hashes[block.0 as usize].take() {
            self.by_hash.remove(&hash);
        }
        Some(block)
    }

    /// The block that holds the contents named `hash`; not yet referenced by the caller.
    pub(crate) fn lookup(&self, hash: &BlockHash) -> Option<BlockId> {
        self.by_hash.get(hash).copied()
    }

    /// One more table refers to `block`, which `lookup` gave.
    pub(crate) fn retain(&mut self, block: BlockId) {
        let count = &mut self.ref_counts[block.0 as usize];
        if *count == 0 {
            self.cached.remove(block.0);
        }
        *count += 1;
    }

    /// One table less refers to `block`. To have the ends of chains evicted before their
    /// beginnings, release a table from its end.
    pub(crate) fn release(&mut self, block: BlockId) {
        let count = &mut self.ref_counts[block.0 as usize];
        debug_assert!(*count > 0, "{block:?} released more often than retained");
        *count -= 1;
        if *count > 0 {
            return;
        }
        match self.hashes[block.0 as usize] {
            Some(_) => self.cached.push_back(block.0),
            None => self.free.push(block),
        }
    }

    /// The used block `block` is fully computed and will not change. If another block holds the
    /// same contents already, that one stays the one to be found.
    pub(crate) fn register(&mut self, block: BlockId, hash: BlockHash) {
        debug_assert!(self.is_referenced(block), "{block:?} registered while unreferenced");
        let name = &mut self.hashes[block.0 as usize];
        if let Entry::Vacant(entry) = self.by_hash.entry(hash)
            && name.is_none()
        {
            entry.insert(block);
            *name = Some(hash);
        }
    }

    /// The contents of the used block `block` are not to be found any more.
    pub(crate) fn forget(&mut self, block: BlockId) {
        debug_assert!(self.is_referenced(block), "{block:?} forgotten while unreferenced");
        if let Some(hash) = self.hashes[block.0 as usize].take() {
            self.by_hash.remove(&hash);
        }
    }

    /// Compares the pool with what all block tables hold; returns what is wrong.
    pub(crate) fn audit(&self, held: impl Iterator<Item = BlockId>) -> Result<(), String> {
        let mut counts = vec![0; self.num_total()];
        for block in held {
            counts[block.0 as usize] += 1;
        }
        if counts != self.ref_counts {
            return Err(format!("references {:?}, tables {counts:?}", self.ref_counts));
        }
        if let Some(block) = self.free.iter().find(|b| self.is_referenced(**b)) {
            return Err(format!("{block:?} is both free and referenced"));
        }
        if let Some(block) = self.free.iter().find(|b| self.hashes[b.0 as usize].is_some()) {
            return Err(format!("{block:?} is free but named by a hash"));
        }
        let named = self.hashes.iter().flatten().count();
        if named != self.by_hash.len() {
            return Err(format!("{named} blocks have a hash, {} are found", self.by_hash.len()));
        }
        let used = self.ref_counts.iter().filter(|c| **c > 0).count();
        match self.free.len() + self.cached.len() + used == self.num_total() {
            true => Ok(()),
            false => Err(format!(
                "{} free + {} cached + {used} used are not {}",
                self.free.len(),
                self.cached.len(),
                self.num_total()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefix::PrefixKey;
    use engine_core::{CacheScope, TenantId};
    use proptest::prelude::*;

    fn hash(n: u32) -> BlockHash {
        let key = PrefixKey::new([0; 32]);
        let tenant = TenantId("t".into());
        let root = key.root(&CacheScope { tenant, model_version: "m".into(), adapter: None });
        key.block(root, std::iter::once(n), std::iter::empty())
    }

    #[test]
    fn least_recently_released_goes_first() {
        let mut pool = BlockPool::new(3);
        let blocks: Vec<_> = (0..3).map(|_| pool.allocate().unwrap()).collect();
        for (n, block) in blocks.iter().enumerate() {
            pool.register(*block, hash(n as u32));
        }
        assert_eq!(pool.allocate(), None);
        // A chain is released from its end, so its end is evicted first.
        for block in blocks.iter().rev() {
            pool.release(*block);
        }
        assert_eq!((pool.num_cached(), pool.num_available()), (3, 3));
        pool.retain(pool.lookup(&hash(2)).unwrap());
        pool.release(blocks[2]);
        assert_eq!(pool.allocate(), Some(blocks[1]));
        assert_eq!(pool.lookup(&hash(1)), None);
        assert_eq!(pool.lookup(&hash(0)), Some(blocks[0]));
    }

    #[test]
    fn the_first_block_of_a_name_stays_and_a_double_is_freed() {
        let mut pool = BlockPool::new(2);
        let (a, b) = (pool.allocate().unwrap(), pool.allocate().unwrap());
        pool.register(a, hash(0));
        pool.register(b, hash(0));
        assert_eq!(pool.lookup(&hash(0)), Some(a));
        pool.release(b);
        assert_eq!((pool.num_available(), pool.num_cached()), (1, 0));
    }

    proptest! {
        #[test]
        fn counts_always_add_up(
            ops in prop::collection::vec((0u8..5, 0usize..8, 0u32..6), 0..300),
        ) {
            let mut pool = BlockPool::new(5);
            let mut held: Vec<BlockId> = Vec::new();
            for (op, at, name) in ops {
                match op {
                    0 => {
                        let expect = pool.num_available() > 0;
                        let got = pool.allocate();
                        prop_assert_eq!(got.is_some(), expect);
                        if let Some(block) = got {
                            prop_assert!(!held.contains(&block), "given while held");
                        }
                        held.extend(got);
                    }
                    1 if !held.is_empty() => pool.release(held.swap_remove(at % held.len())),
                    2 if !held.is_empty() => pool.register(held[at % held.len()], hash(name)),
                    3 if !held.is_empty() => pool.forget(held[at % held.len()]),
                    _ => {
                        if let Some(block) = pool.lookup(&hash(name)) {
                            pool.retain(block);
                            held.push(block);
                        }
                    }
                }
                prop_assert_eq!(pool.audit(held.iter().copied()), Ok(()));
            }
        }
    }
}
