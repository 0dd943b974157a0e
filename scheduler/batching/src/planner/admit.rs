//! Letting waiting sequences run.
//!
//! Invariant: a sequence is admitted only when its known tokens fit beside what the running ones
//! need soon; the sequence whose turn it is is never overtaken for want of blocks, so large ones
//! do not starve.

use std::collections::HashMap;

use engine_core::{CacheGroups, SeqId, TenantId};

use super::Planner;
use crate::queue::Aside;
use crate::sequence::Sequence;
use crate::table::Table;

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
        let num_cached = cached.num_columns();
        if num_cached < limit && self.is_being_computed(&seq, num_cached) {
            let id = seq.id;
            self.queue.put_back(seq);
            return Turn::WaitsForPrefix(id);
        }
        if !self.fits(&seq, &cached) {
            self.queue.put_back(seq);
            return Turn::NoRoom;
        }
        let num_tokens = seq.len() - num_cached * self.block_size();
        self.start(seq, cached, limit);
        Turn::Admitted(tenant, num_tokens)
    }

    /// Whether a running sequence is about to compute block `idx` of `seq`.
    fn is_being_computed(&self, seq: &Sequence, idx: usize) -> bool {
        let end = (idx + 1) * self.block_size();
        let hash = seq.hashes.get(idx);
        self.running.values().any(|r| r.num_computed < end && r.hashes.get(idx) == hash)
    }

    fn fits(&self, seq: &Sequence, cached: &Table) -> bool {
        // Cached blocks that nobody refers to stop being available when they are taken.
        let unreferenced = cached.held().filter(|b| !self.pool.is_referenced(*b)).count();
        let needed = self.num_lacking(cached, seq.len());
        let soon: usize = self.running.values().map(|r| self.num_blocks_needed_soon(r)).sum();
        needed + soon + unreferenced <= self.pool.num_available()
    }

    /// What a running sequence lacks for its known tokens and one block of further ones.
    fn num_blocks_needed_soon(&self, seq: &Sequence) -> usize {
        let request = &seq.common.request;
        let longest = request.prompt.len() + request.stop.max_tokens as usize;
        self.num_lacking(&seq.table, (seq.len() + self.block_size()).min(longest))
    }

    /// The most blocks that a table will ever have more than now on its way to so many positions:
    /// windowed groups give theirs back as they go.
    fn num_lacking(&self, table: &Table, num_positions: usize) -> usize {
        let CacheGroups { whole, windowed, .. } = self.limits.groups;
        let (columns, passed) = (num_positions.div_ceil(self.block_size()), table.num_passed());
        let more = columns.saturating_sub(table.num_columns());
        let most = self.limits.max_windowed_columns() as usize;
        let at_once = columns.saturating_sub(passed).min(most);
        let more_at_once = at_once.saturating_sub(table.num_columns() - passed);
        whole as usize * more + windowed as usize * more_at_once
    }

    fn start(&mut self, mut seq: Sequence, cached: Table, limit: usize) {
        cached.held().for_each(|block| self.pool.retain(block));
        seq.num_registered = cached.num_columns();
        seq.num_computed = cached.num_columns() * self.block_size();
        seq.table = cached;
        self.counts.prefix_queries += u64::from(limit > 0);
        self.counts.prefix_hits += u64::from(seq.num_computed > 0);
        if let Some(live) = self.requests.get_mut(&seq.common.request.id)
            && !std::mem::replace(&mut live.admitted, true)
        {
            live.usage.cached_tokens = seq.num_computed as u32;
            self.counts.prompt_tokens += u64::from(live.usage.prompt_tokens);
            self.counts.cached_tokens += seq.num_computed as u64;
            self.admitted.push((seq.common.request.id, live.usage.cached_tokens));
            self.queue.request_admitted(seq.common.tenant());
            self.queue.charge(seq.common.tenant(), seq.num_remaining());
        }
        self.queue.took_turn(seq.common.tenant(), seq.common.request.class);
        self.running.insert(seq.id, seq);
    }
}
