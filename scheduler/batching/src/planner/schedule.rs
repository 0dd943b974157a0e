//! Filling one step: running sequences with one token to go first, then chunks of longer ones,
//! then waiting sequences.
//!
//! Invariant: a step keeps the engine's budgets, and its oldest running sequence always gets at
//! least one token: no more sequences run than a step has tokens and places.

use engine_core::{BlockTable, EngineLimits, Score, SeqId, SeqWork, Step, Want};

use super::Planner;

/// A step under construction: who computes how many tokens.
pub(super) struct Draft {
    items: Vec<(SeqId, usize)>,
    tokens_left: usize,
    pub(super) preempted: bool,
}

impl Draft {
    pub(super) fn has_room(&self) -> bool {
        self.tokens_left > 0
    }

    /// Takes a preempted sequence out again, if it was in.
    pub(super) fn remove(&mut self, seq: SeqId) {
        if let Some(at) = self.items.iter().position(|(id, _)| *id == seq) {
            self.tokens_left += self.items.remove(at).1;
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
        let mut draft = Draft { items: Vec::new(), tokens_left, preempted: false };
        let (decodes, prefills): (Vec<_>, Vec<_>) =
            self.running.values().map(|seq| (seq.id, seq.num_remaining())).partition(|r| r.1 <= 1);
        for (id, _) in decodes.into_iter().chain(prefills) {
            self.schedule(id, &mut draft);
        }
        // Room that was just taken from someone is not given to the next in the queue.
        if !draft.preempted {
            self.admit(&mut draft);
        }
        (!draft.items.is_empty()).then(|| self.step(draft))
    }

    /// How many sequences may run: each must find a token and a place in every step.
    pub(super) fn max_running(&self) -> usize {
        let EngineLimits { max_step_seqs, max_step_tokens, .. } = self.limits;
        self.config.max_running_seqs.min(max_step_seqs).min(max_step_tokens).max(1) as usize
    }

    /// Gives a running sequence its share of the step, preempting others if blocks run out.
    pub(super) fn schedule(&mut self, id: SeqId, draft: &mut Draft) {
        // A sequence may have been preempted for one before it.
        let Some(seq) = self.running.get(&id) else { return };
        let most = draft.tokens_left.min(self.config.prefill_chunk.max(1) as usize);
        let num_tokens = seq.num_remaining().min(most);
        if num_tokens == 0 {
            return;
        }
        while !self.grow(id, num_tokens) {
            match self.preempt_one(draft) {
                Some(victim) if victim != id => {}
                _ => return,
            }
        }
        draft.tokens_left -= num_tokens;
        draft.items.push((id, num_tokens));
    }

    /// Makes a sequence's block table cover `num_tokens` more positions, or changes nothing.
    fn grow(&mut self, id: SeqId, num_tokens: usize) -> bool {
        let block_size = self.block_size();
        let Some(seq) = self.running.get_mut(&id) else { return false };
        let needed = (seq.num_computed + num_tokens).div_ceil(block_size);
        let missing = needed.saturating_sub(seq.blocks.len());
        if missing > self.pool.num_available() {
            return false;
        }
        seq.blocks.extend((0..missing).filter_map(|_| self.pool.allocate()));
        true
    }

    fn step(&mut self, draft: Draft) -> Step {
        let mut work = Vec::with_capacity(draft.items.len());
        for (id, num_tokens) in draft.items {
            work.extend(self.seq_work(id, num_tokens));
        }
        self.in_flight = true;
        let step_idx = self.next_step;
        self.next_step += 1;
        Step { step_idx, work }
    }

    fn seq_work(&mut self, id: SeqId, num_tokens: usize) -> Option<SeqWork> {
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
            input: seq.tokens(start..end),
            num_cached_tokens: start as u32,
            block_table: BlockTable(seq.blocks.clone()),
            want,
            score,
        })
    }
}
