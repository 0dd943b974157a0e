//! Taking in what a step computed.
//!
//! Invariant: an answer is checked as a whole before anything of it is used, only blocks of a step
//! that succeeded are registered in the prefix cache, and of drafts only those that were right
//! and do not come after the end of their sequence count as computed.

use engine_core::{
    EngineError, Event, FinishReason, RequestError, Sampled, SeqId, SeqOutput, SeqWork, Step,
    StepOutput, StopRules, TokenId, TokenLogprobs, Want,
};

use super::{Planner, release_blocks};
use crate::speculation::Tried;

impl Planner {
    /// Takes the results of the step in flight in: appends tokens, registers and frees blocks,
    /// emits events ([`drain_events`](Self::drain_events)). Requests whose step or whose own work
    /// failed end with the error, the others go on.
    pub fn commit(&mut self, step: Step, out: Result<StepOutput, EngineError>) {
        self.in_flight = false;
        self.counts.steps += 1;
        for mut seq in std::mem::take(&mut self.leaving) {
            release_blocks(&mut self.pool, &mut seq);
        }
        let checked = out.and_then(|out| {
            check(&step, &out, self.limits.vocab_size)?;
            Ok(out)
        });
        match checked {
            Ok(out) => {
                for (work, output) in step.work.iter().zip(out.outputs) {
                    self.commit_sequence(work, output, step.work.len());
                }
            }
            Err(error) => self.fail_step(&step, &error),
        }
    }

    /// Only this request fails. What it computed may be as bad as its logits, so nobody shall
    /// find it in the prefix cache.
    fn fail_sequence(&mut self, seq: SeqId, error: EngineError) {
        let Some(seq) = self.running.get_mut(&seq) else { return };
        seq.in_flight = false;
        seq.table.held().for_each(|block| self.pool.forget(block));
        let id = seq.common.request.id;
        self.fail(id, RequestError::Engine(error));
        // Its other choices in this step; their entries in it find no sequence any more.
        for mut seq in std::mem::take(&mut self.leaving) {
            release_blocks(&mut self.pool, &mut seq);
        }
    }

    fn fail_step(&mut self, step: &Step, error: &EngineError) {
        for work in &step.work {
            // Gone already if it was cancelled, or failed with another choice of its request.
            let Some(seq) = self.running.get_mut(&work.seq) else { continue };
            seq.in_flight = false;
            let id = seq.common.request.id;
            self.fail(id, RequestError::Engine(error.clone()));
        }
        for mut seq in std::mem::take(&mut self.leaving) {
            release_blocks(&mut self.pool, &mut seq);
        }
    }

    fn commit_sequence(&mut self, work: &SeqWork, output: SeqOutput, num_seqs: usize) {
        if let Some(error) = output.error {
            return self.fail_sequence(work.seq, error);
        }
        let Some(seq) = self.running.get_mut(&work.seq) else { return };
        seq.in_flight = false;
        seq.is_late = output.is_late;
        if output.is_late {
            // The last position is computed again, for its token.
            seq.num_computed += work.num_known().saturating_sub(1);
            self.commit_blocks(work.seq);
            return self.commit_scores(work, output.scores);
        }
        let SeqOutput { mut sampled, scores, .. } = output;
        let (num_drafts, num_right) = (work.num_drafts as usize, sampled.len().saturating_sub(1));
        seq.learn(Tried { num_drafts, num_right, num_seqs });
        let reason = cut(&mut sampled, &seq.common.request.stop, seq.generated.len());
        seq.extend(sampled.iter().map(|sampled| sampled.token), reason.is_some());
        seq.num_computed += work.num_known() + sampled.len().saturating_sub(1);
        let (id, num_right) = (seq.common.request.id, num_right.min(sampled.len()));
        self.counts.draft_tokens += num_drafts as u64;
        self.counts.accepted_draft_tokens += num_right as u64;
        if let Some(live) = self.requests.get_mut(&id) {
            live.usage.accepted_draft_tokens += num_right as u32;
            live.usage.rejected_draft_tokens += (num_drafts - num_right) as u32;
        }
        self.commit_blocks(work.seq);
        self.commit_scores(work, scores);
        self.commit_prompt(work);
        self.commit_tokens(work.seq, sampled, reason);
    }

    /// Registers blocks that are full, and gives those back that only wrong drafts were in or that
    /// no window reaches any more.
    fn commit_blocks(&mut self, seq: SeqId) {
        let Some(seq) = self.running.get_mut(&seq) else { return };
        let block_size = self.limits.block_size as usize;
        let needed = seq.len().div_ceil(block_size);
        seq.table.cut(needed).rev().for_each(|block| self.pool.release(block));
        if self.config.prefix_caching {
            seq.extend_hashes(&self.key, block_size);
            while (seq.num_registered + 1) * block_size <= seq.num_computed {
                let idx = seq.num_registered;
                for (group, block) in seq.table.column(idx).iter().enumerate() {
                    self.pool.register(*block, seq.hashes[idx].of_group(group));
                }
                seq.num_registered += 1;
            }
        }
        let passed = self.limits.num_passed_columns(seq.num_computed as u32) as usize;
        // Of those that many share the beginnings are let go of last.
        seq.table.passing(passed).rev().for_each(|block| self.pool.release(block));
        seq.table.pass(passed);
    }

    /// Keeps those scores that are new: a preempted sequence computes some positions again.
    fn commit_scores(&mut self, work: &SeqWork, scores: Vec<TokenLogprobs>) {
        let Some(seq) = self.running.get(&work.seq) else { return };
        let Some(live) = self.requests.get_mut(&seq.common.request.id) else { return };
        if !scores.is_empty() && live.needs_scores() {
            let num_known = live.scores.len() - work.num_cached_tokens as usize;
            live.scores.extend(scores.into_iter().skip(num_known));
        }
    }

    /// When the prompt is computed for the first time: reports its scores, starts the siblings.
    fn commit_prompt(&mut self, work: &SeqWork) {
        let Some(seq) = self.running.get(&work.seq) else { return };
        let request = &seq.common.request;
        let Some(live) = self.requests.get_mut(&request.id) else { return };
        if live.prompt_done || seq.num_computed < request.prompt.len() {
            return;
        }
        live.prompt_done = true;
        let id = request.id;
        if request.prompt_logprobs.is_some() {
            let scores = std::mem::take(&mut live.scores);
            self.events.push((id, Event::PromptLogprobs(scores)));
        }
        self.release_held(id);
    }

    /// Reports new tokens, and ends the choice if there is a reason to.
    fn commit_tokens(&mut self, seq: SeqId, sampled: Vec<Sampled>, reason: Option<FinishReason>) {
        let Some(seq) = self.running.get(&seq) else { return };
        let (index, request) = (seq.index, &seq.common.request);
        let id = request.id;
        // `max_tokens` 0: ends when the prompt is scored.
        let only_scores = request.stop.max_tokens == 0 && seq.num_remaining() == 0;
        let reason = reason.or(only_scores.then_some(FinishReason::Length));
        self.queue.charge(&request.scope.tenant, sampled.len());
        self.counts.generated_tokens += sampled.len() as u64;
        if let Some(live) = self.requests.get_mut(&id) {
            live.usage.completion_tokens += sampled.len() as u32;
        }
        for Sampled { token, logprobs } in sampled {
            self.events.push((id, Event::Token { index, token, logprobs }));
        }
        if let Some(reason) = reason {
            self.drop_sequence(id, index);
            self.end_choice(id, index, reason);
        }
    }
}

/// Drops what comes after the end of the sequence, and says why it ends if it does.
fn cut(sampled: &mut Vec<Sampled>, stop: &StopRules, num_generated: usize) -> Option<FinishReason> {
    for (i, Sampled { token, .. }) in sampled.iter().enumerate() {
        if let Some(reason) = finish_reason(stop, *token, num_generated + i + 1) {
            sampled.truncate(i + 1);
            return Some(reason);
        }
    }
    None
}

fn finish_reason(stop: &StopRules, token: TokenId, num_generated: usize) -> Option<FinishReason> {
    if !stop.ignore_eos && stop.eos_token_ids.contains(&token) {
        Some(FinishReason::EndOfSequence(token))
    } else if stop.stop_token_ids.contains(&token) {
        Some(FinishReason::StopToken(token))
    } else {
        (num_generated >= stop.max_tokens as usize).then_some(FinishReason::Length)
    }
}

fn wants_token(work: &SeqWork) -> bool {
    matches!(work.want, Want::Sample(_))
}

/// Whether an engine answered what it was asked.
fn check(step: &Step, out: &StepOutput, vocab_size: u32) -> Result<(), EngineError> {
    let wrong = |what: &str| Err(EngineError::Device(format!("the engine's answer {what}")));
    if out.outputs.len() != step.work.len() {
        return wrong("has another number of sequences than the step");
    }
    for (work, output) in step.work.iter().zip(&out.outputs) {
        let num_targets = work.score.as_ref().map_or(0, |score| score.targets.len());
        if output.seq != work.seq {
            return wrong("has its sequences in another order");
        } else if output.error.is_some() {
            continue;
        } else if output.sampled.is_empty() != (output.is_late || !wants_token(work)) {
            return wrong("has a token that was not wanted, or lacks one that was");
        } else if output.is_late && !wants_token(work) {
            return wrong("is late with a token that was not wanted");
        } else if let Some(num_right) = output.sampled.len().checked_sub(1)
            && (num_right > work.drafts().len()
                || !work.is_reached(num_right, &output.sampled[..num_right]))
        {
            return wrong("goes on after a token that was not the draft");
        } else if output.scores.len() != num_targets {
            return wrong("has another number of scores than was asked for");
        } else if output.sampled.iter().any(|s| s.token >= vocab_size) {
            return wrong("has a token outside the vocabulary");
        }
    }
    Ok(())
}
