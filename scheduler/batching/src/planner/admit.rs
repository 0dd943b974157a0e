//! Letting waiting sequences run.
//!
//! Invariant: a sequence is admitted only when its known tokens fit beside what the running ones
//! need soon; the sequence whose turn it is is never overtaken for want of blocks, so large ones
//! do not starve.

use engine_core::{BlockId, TenantId};

use super::{Planner, schedule::Draft};
use crate::sequence::Sequence;

/// What became of the sequence whose turn it was.
enum Turn {
    Admitted(engine_core::SeqId),
    /// A running sequence computes the same prefix right now; it will be found in the cache.
    WaitsForPrefix(TenantId),
    NoRoom,
    NobodyWaits,
}

impl Planner {
    /// Fills the rest of the step with waiting sequences.
    pub(super) fn admit(&mut self, draft: &mut Draft) {
        let mut aside = Vec::new();
        while draft.has_room() && self.running.len() < self.max_running() {
            match self.take_turn(&aside) {
                Turn::Admitted(id) => self.schedule(id, draft),
                Turn::WaitsForPrefix(tenant) => aside.push(tenant),
                Turn::NoRoom | Turn::NobodyWaits => break,
            }
            if draft.preempted {
                break;
            }
        }
    }

    fn take_turn(&mut self, aside: &[TenantId]) -> Turn {
        let Some(mut seq) = self.queue.pop(aside) else { return Turn::NobodyWaits };
        let (cached, limit) = self.find_cached(&mut seq);
        if cached.len() < limit && self.is_being_computed(&seq, cached.len()) {
            let tenant = seq.common.tenant().clone();
            self.queue.push(seq);
            return Turn::WaitsForPrefix(tenant);
        }
        if !self.fits(&seq, &cached) {
            self.queue.push(seq);
            return Turn::NoRoom;
        }
        let id = seq.id;
        self.start(seq, cached, limit);
        Turn::Admitted(id)
    }

    /// The leading blocks of a sequence that the prefix cache holds, and how many it was allowed
    /// to take: the last token is always computed, and so are positions to be scored.
    fn find_cached(&self, seq: &mut Sequence) -> (Vec<BlockId>, usize) {
        if !self.config.prefix_caching {
            return (Vec::new(), 0);
        }
        seq.extend_hashes(&self.key, self.block_size());
        let last = seq.len() - 1;
        let unscored = self.requests.get(&seq.common.request.id).filter(|r| r.needs_scores());
        let limit = unscored.map_or(last, |live| live.scores.len().min(last)) / self.block_size();
        let found = seq.hashes.iter().take(limit).map_while(|hash| self.pool.lookup(hash));
        (found.collect(), limit)
    }

    /// Whether a running sequence is about to compute block `idx` of `seq`.
    fn is_being_computed(&self, seq: &Sequence, idx: usize) -> bool {
        let end = (idx + 1) * self.block_size();
        let hash = seq.hashes.get(idx);
        self.running.values().any(|r| r.num_computed < end && r.hashes.get(idx) == hash)
    }

    fn fits(&self, seq: &Sequence, cached: &[BlockId]) -> bool {
        let block_size = self.block_size();
        // Cached blocks that nobody refers to stop being available when they are taken.
        let unreferenced = cached.iter().filter(|b| !self.pool.is_referenced(**b)).count();
        let needed = seq.len().div_ceil(block_size) - cached.len();
        let soon: usize = self.running.values().map(|r| self.num_blocks_needed_soon(r)).sum();
        needed + soon + unreferenced <= self.pool.num_available()
    }

    /// What a running sequence lacks for its known tokens and one block of further ones.
    fn num_blocks_needed_soon(&self, seq: &Sequence) -> usize {
        let request = &seq.common.request;
        let longest = request.prompt.len() + request.stop.max_tokens as usize;
        let soon = (seq.len() + self.block_size()).min(longest);
        soon.div_ceil(self.block_size()).saturating_sub(seq.blocks.len())
    }

    fn start(&mut self, mut seq: Sequence, cached: Vec<BlockId>, limit: usize) {
        for block in &cached {
            self.pool.retain(*block);
        }
        seq.num_registered = cached.len();
        seq.num_computed = cached.len() * self.block_size();
        seq.blocks = cached;
        self.counts.prefix_queries += u64::from(limit > 0);
        self.counts.prefix_hits += u64::from(seq.num_computed > 0);
        if let Some(live) = self.requests.get_mut(&seq.common.request.id)
            && !std::mem::replace(&mut live.admitted, true)
        {
            live.usage.cached_tokens = seq.num_computed as u32;
            self.counts.prompt_tokens += u64::from(live.usage.prompt_tokens);
            self.counts.cached_tokens += seq.num_computed as u64;
            self.admitted.push(seq.common.request.id);
            self.queue.request_admitted(seq.common.tenant());
            self.queue.charge(seq.common.tenant(), seq.num_remaining());
        }
        self.running.insert(seq.id, seq);
    }
}
