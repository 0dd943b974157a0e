//! Taking in what a step computed.
//!
//! Invariant: an answer is checked as a whole before anything of it is used, and only blocks of
//! a step that succeeded are registered in the prefix cache.

use engine_core::{
    EngineError, Event, FinishReason, RequestError, Sampled, SeqId, SeqOutput, SeqWork, Step,
    StepOutput, StopRules, TokenId, TokenLogprobs, Want,
};

use super::{Planner, release_blocks};

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
                    self.commit_sequence(work, output);
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
        seq.blocks.iter().for_each(|block| self.pool.forget(*block));
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

    fn commit_sequence(&mut self, work: &SeqWork, output: SeqOutput) {
        if let Some(error) = output.error {
            return self.fail_sequence(work.seq, error);
        }
        let Some(seq) = self.running.get_mut(&work.seq) else { return };
        seq.in_flight = false;
        seq.num_computed += work.input.len();
        if self.config.prefix_caching {
            let block_size = self.limits.block_size as usize;
            seq.extend_hashes(&self.key, block_size);
            while (seq.num_registered + 1) * block_size <= seq.num_computed {
                let idx = seq.num_registered;
                self.pool.register(seq.blocks[idx], seq.hashes[idx]);
                seq.num_registered += 1;
            }
        }
        self.commit_scores(work, output.scores);
        self.commit_prompt(work);
        match output.sampled {
            Some(sampled) => self.commit_token(work, sampled),
            None => self.end_if_nothing_to_generate(work),
        }
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

    fn commit_token(&mut self, work: &SeqWork, sampled: Sampled) {
        let Some(seq) = self.running.get_mut(&work.seq) else { return };
        let Sampled { token, logprobs } = sampled;
        seq.generated.push(token);
        let (index, num_generated) = (seq.index, seq.generated.len());
        let request = &seq.common.request;
        let (id, reason) = (request.id, finish_reason(&request.stop, token, num_generated));
        self.queue.charge(&request.scope.tenant, 1);
        self.counts.generated_tokens += 1;
        if let Some(live) = self.requests.get_mut(&id) {
            live.usage.completion_tokens += 1;
        }
        self.events.push((id, Event::Token { index, token, logprobs }));
        if let Some(reason) = reason {
            self.drop_sequence(id, index);
            self.end_choice(id, index, reason);
        }
    }

    /// `max_tokens` 0: ends when the prompt is scored.
    fn end_if_nothing_to_generate(&mut self, work: &SeqWork) {
        let Some(seq) = self.running.get(&work.seq) else { return };
        let request = &seq.common.request;
        if request.stop.max_tokens == 0 && seq.num_remaining() == 0 {
            let (id, index) = (request.id, seq.index);
            self.drop_sequence(id, index);
            self.end_choice(id, index, FinishReason::Length);
        }
    }
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
        } else if output.sampled.is_some() != matches!(work.want, Want::Sample(_)) {
            return wrong("has a token that was not wanted, or lacks one that was");
        } else if output.scores.len() != num_targets {
            return wrong("has another number of scores than was asked for");
        } else if output.sampled.as_ref().is_some_and(|s| s.token >= vocab_size) {
            return wrong("has a token outside the vocabulary");
        }
    }
    Ok(())
}
