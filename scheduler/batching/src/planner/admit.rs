//! Letting waiting sequences run.
//!
//! Invariant: a sequence is admitted only when its known tokens fit beside what the running ones
//! need soon; the sequence whose turn it is is never overtaken for want of blocks, so large ones
//! do not starve.

use std::collections::HashMap;

use engine_core::{BlockId, SeqId, TenantId};

use super::Planner;
use crate::queue::Aside;
use crate::sequence::Sequence;

/// While prompts under way could use the whole step, only tenants with fewer of them than this
/// start another: their share of the step is what keeps new requests from waiting for long
/// prompts, and the bound keeps one tenant's prompts from taking up all places half done.
const MAX_CROWDED_PREFILLS: usize = 4;

/// Sequences that one plan looks at in vain, at most.
const MAX_ASIDE: usize = 32;

/// What became of the sequence whose turn it was.
enum Turn {
    /// It runs now and has this many tokens to compute.
    Admitted(TenantId, usize),
    /// A running sequence computes the same prefix right now; it will be found in the cache.
    WaitsForPrefix(SeqId),
    /// Its tenant has enough prompts under way.
    Crowded(TenantId),
    NoRoom,
    NobodyWaits,
}

/// What running prompts ask of the step that is being planned.
struct Demand {
    /// Tokens that the step has for them.
    budget: usize,
    /// Tokens that they could use.
    wanted: usize,
    num_prefills: HashMap<TenantId, usize>,
}

impl Demand {
    fn add(&mut self, tenant: &TenantId, num_tokens: usize) {
        self.wanted += num_tokens;
        *self.num_prefills.entry(tenant.clone()).or_default() += 1;
    }

    fn is_crowded(&self, tenant: &TenantId) -> bool {
        let own = self.num_prefills.get(tenant).copied().unwrap_or(0);
        self.wanted >= self.budget && own >= MAX_CROWDED_PREFILLS
    }
}

impl Planner {
    /// Lets waiting sequences run, to share `budget` tokens with the prompts under way in chunks
    /// of at most `chunk`.
    pub(super) fn admit(&mut self, budget: usize, chunk: usize) {
        let mut demand = Demand { budget, wanted: 0, num_prefills: HashMap::new() };
        for seq in self.running.values().filter(|seq| seq.num_remaining() > 1) {
            demand.add(seq.common.tenant(), seq.num_remaining().min(chunk));
        }
        let mut aside = Aside::default();
        while budget > 0 && self.running.len() < self.max_running() {
            match self.take_turn(&aside, &demand) {
                Turn::Admitted(tenant, num_tokens) => demand.add(&tenant, num_tokens.min(chunk)),
                Turn::WaitsForPrefix(seq) if aside.seqs.len() < MAX_ASIDE => aside.seqs.push(seq),
                Turn::Crowded(tenant) => aside.tenants.push(tenant),
                Turn::WaitsForPrefix(_) | Turn::NoRoom | Turn::NobodyWaits => break,
            }
        }
    }

    fn take_turn(&mut self, aside: &Aside, demand: &Demand) -> Turn {
        let Some(mut seq) = self.queue.pop(aside) else { return Turn::NobodyWaits };
        let tenant = seq.common.tenant().clone();
        if demand.is_crowded(&tenant) {
            self.queue.put_back(seq);
            return Turn::Crowded(tenant);
        }
        let (cached, limit) = self.find_cached(&mut seq);
        if cached.len() < limit && self.is_being_computed(&seq, cached.len()) {
            let id = seq.id;
            self.queue.put_back(seq);
            return Turn::WaitsForPrefix(id);
        }
        if !self.fits(&seq, &cached) {
            self.queue.put_back(seq);
            return Turn::NoRoom;
        }
        let num_tokens = seq.len() - cached.len() * self.block_size();
        self.start(seq, cached, limit);
        Turn::Admitted(tenant, num_tokens)
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
        self.queue.took_turn(seq.common.tenant(), seq.common.request.class);
        self.running.insert(seq.id, seq);
    }
}
