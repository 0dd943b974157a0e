//! Filling one step: running sequences with one token to go first; then waiting sequences are
//! admitted, all prompts under way share what is left, and a step that is still small is filled
//! with drafts.
//!
//! Invariant: a step keeps the engine's budgets, and the oldest running sequence always gets at
//! least one token, unless its grammar is late: no more sequences run than a step has tokens and
//! places.

use engine_core::{BlockTable, EngineLimits, Score, SeqId, SeqWork, Step, TokenId, Want};

use super::Planner;
use super::share::{Prefill, share};
use crate::sequence::Sequence;

/// A step under construction: who computes how many tokens.
pub(super) struct Outline {
    pub(super) items: Vec<Item>,
    tokens_left: usize,
    pub(super) preempted: bool,
}

/// What one sequence computes.
pub(super) struct Item {
    pub(super) seq: SeqId,
    /// Known tokens.
    num_tokens: usize,
    pub(super) drafts: Vec<TokenId>,
}

impl Outline {
    /// Known tokens so far.
    pub(super) fn num_tokens(&self) -> usize {
        self.items.iter().map(|item| item.num_tokens).sum()
    }

    /// Takes a preempted sequence out again, if it was in.
    pub(super) fn remove(&mut self, seq: SeqId) {
        if let Some(at) = self.items.iter().position(|item| item.seq == seq) {
            self.tokens_left += self.items.remove(at).num_tokens;
        }
    }
}

impl Planner {
    /// The next step, or `None` if there is nothing to do or a step is in flight.
    pub fn plan(&mut self) -> Option<Step> {
        if self.in_flight {
            return None;
        }
        let tokens_left = self.limits.max_step_tokens as usize;
        let mut outline = Outline { items: Vec::new(), tokens_left, preempted: false };
        // Asked once: who is ready a moment later comes with the next step.
        let out = self.running.values().filter(|seq| seq.sits_out()).map(|seq| seq.id);
        let out: Vec<_> = out.collect();
        self.num_sitting_out = out.len();
        let takes_part = |seq: &&Sequence| out.binary_search(&seq.id).is_err();
        let decodes = self.running.values().filter(takes_part);
        let decodes = decodes.filter(|seq| seq.num_remaining() == 1);
        let decodes: Vec<_> = decodes.map(|seq| seq.id).collect();
        for id in &decodes {
            self.schedule(*id, 1, &mut outline);
        }
        let (chunk, budget) = (self.chunk(), self.prefill_budget(&outline));
        // Room that was just taken from someone is not given to the next in the queue.
        if !outline.preempted {
            self.admit(budget, chunk);
        }
        let scheduled = |id: &SeqId| decodes.binary_search(id).is_ok();
        let rest = self.running.values().filter(takes_part).filter(|seq| !scheduled(&seq.id));
        let prefills = rest.map(|seq| Prefill {
            seq: seq.id,
            tenant: seq.common.tenant().clone(),
            num_tokens: seq.num_remaining().min(chunk),
        });
        for (id, num_tokens) in share(prefills.collect(), self.prefill_budget(&outline)) {
            self.schedule(id, num_tokens, &mut outline);
        }
        self.add_drafts(&mut outline);
        (!outline.items.is_empty()).then(|| self.step(outline))
    }

    /// How many sequences may run: each must find a token and a place in every step.
    pub(super) fn max_running(&self) -> usize {
        let EngineLimits { max_step_seqs, max_step_tokens, .. } = self.limits;
        self.config.max_running_seqs.min(max_step_seqs).min(max_step_tokens).max(1) as usize
    }

    /// The most tokens of one prompt in this step. A prompt that shares the engine with anyone
    /// leaves half of the step to them, so that they neither stall nor wait to begin.
    fn chunk(&self) -> usize {
        let chunk = self.config.prefill_chunk.max(1) as usize;
        let is_alone = self.running.len() + usize::from(self.queue.has_waiting()) <= 1;
        match is_alone {
            true => chunk,
            false => chunk.min((self.limits.max_step_tokens as usize / 2).max(1)),
        }
    }

    /// What a step has left for prompts: a token for each of them at least.
    fn prefill_budget(&self, outline: &Outline) -> usize {
        let mixed = (self.config.mixed_prefill.max(1) as usize).max(self.running.len());
        let most = if outline.items.is_empty() { usize::MAX } else { mixed };
        outline.tokens_left.min(most)
    }

    /// Gives a running sequence its share of the step, preempting others if blocks run out.
    fn schedule(&mut self, id: SeqId, num_tokens: usize, outline: &mut Outline) {
        // A sequence may have been preempted for one before it.
        if num_tokens == 0 || num_tokens > outline.tokens_left || !self.running.contains_key(&id) {
            return;
        }
        while !self.grow(id, num_tokens) {
            match self.preempt_one(outline) {
                Some(victim) if victim != id => {}
                _ => return,
            }
        }
        outline.tokens_left -= num_tokens;
        outline.items.push(Item { seq: id, num_tokens, drafts: Vec::new() });
    }

    /// Makes a sequence's block table cover `num_tokens` more positions, or changes nothing.
    pub(super) fn grow(&mut self, id: SeqId, num_tokens: usize) -> bool {
        let block_size = self.block_size();
        let Some(seq) = self.running.get_mut(&id) else { return false };
        let needed = (seq.num_computed + num_tokens).div_ceil(block_size);
        let missing = needed.saturating_sub(seq.table.num_columns()) * seq.table.width();
        if missing > self.pool.num_available() {
            return false;
        }
        seq.table.extend((0..missing).filter_map(|_| self.pool.allocate()));
        true
    }

    fn step(&mut self, outline: Outline) -> Step {
        let mut work = Vec::with_capacity(outline.items.len());
        for item in outline.items {
            work.extend(self.seq_work(item));
        }
        self.in_flight = true;
        let step_idx = self.next_step;
        self.next_step += 1;
        Step { step_idx, work }
    }

    fn seq_work(&mut self, item: Item) -> Option<SeqWork> {
        let Item { seq: id, num_tokens, drafts } = item;
        let seq = self.running.get_mut(&id)?;
        seq.in_flight = true;
        let (start, end) = (seq.num_computed, seq.num_computed + num_tokens);
        let request = &seq.common.request;
        let samples = end == seq.len() && request.stop.max_tokens > 0;
        let want = if samples { Want::Sample(seq.sample()) } else { Want::Nothing };
        let score = request.prompt_logprobs.and_then(|num_top| {
            let live = self.requests.get(&request.id)?;
            let last_target = (end + 1).min(request.prompt.len());
            let targets = request.prompt.get(start + 1..last_target)?;
            // Scores that a preempted sequence has brought in already are not asked for again.
            let is_new = live.needs_scores() && start + targets.len() > live.scores.len();
            is_new.then(|| Score { targets: targets.to_vec(), num_top })
        });
        Some(SeqWork {
            seq: id,
            adapter: request.scope.adapter.clone(),
            num_drafts: drafts.len() as u32,
            insets: seq.insets(start..end).collect(),
            input: [seq.tokens(start..end), drafts].concat(),
            num_cached_tokens: start as u32,
            block_table: BlockTable(seq.table.entries().to_vec()),
            want,
            score,
        })
    }
}
