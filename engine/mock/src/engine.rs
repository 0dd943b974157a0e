//! Checks every step, computes it, and fails when told to.
//!
//! Invariant: a step that breaks a rule of [`Step`] is refused as
//! [`EngineError::InvalidStep`] before it changes anything.

use std::collections::{BTreeMap, HashSet};

use engine_core::{
    CacheGroups, Engine, EngineError, EngineLimits, NoMask, SeqOutput, SeqWork, Step, StepOutput,
    TokenLogprobs, Want,
};

use crate::memory::Memory;
use crate::{Clock, MockModel};

/// What goes wrong in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The step ends with [`EngineError::Device`] and this text.
    Error(String),
    /// The engine panics.
    Panic,
    /// The answer to this entry of the step (counted round) is an error; the others are well.
    Sequence(usize),
}

/// A language model without weights.
pub struct MockEngine {
    limits: EngineLimits,
    model: MockModel,
    memory: Memory,
    clock: Clock,
    faults: BTreeMap<u64, Fault>,
    next_step: u64,
    is_checked: bool,
}

impl MockEngine {
    /// An engine with empty memory.
    pub fn new(limits: EngineLimits, model: MockModel) -> Self {
        Self {
            limits,
            model,
            memory: Memory::new(&limits),
            clock: Clock::default(),
            faults: BTreeMap::new(),
            next_step: 0,
            is_checked: true,
        }
    }

    /// The same that takes steps as they come and reads nothing back, so that next to no time is
    /// its own: for measuring what is around an engine. A token then depends on the sequence's
    /// `Sample` alone.
    #[must_use]
    pub fn unchecked(self) -> Self {
        Self { is_checked: false, ..self }
    }

    /// The engine's virtual time.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Has the step with this index fail.
    #[must_use]
    pub fn with_fault(mut self, step_idx: u64, fault: Fault) -> Self {
        self.faults.insert(step_idx, fault);
        self
    }

    fn check_step(&self, step: &Step) -> Result<(), String> {
        let EngineLimits { max_step_tokens, max_step_seqs, .. } = self.limits;
        if step.step_idx < self.next_step {
            return Err(format!("step {} comes after {}", step.step_idx, self.next_step));
        }
        if step.work.is_empty() {
            return Err("the step is empty".into());
        }
        if step.work.len() > max_step_seqs as usize {
            return Err(format!("{} sequences, limit {max_step_seqs}", step.work.len()));
        }
        if step.num_tokens() > max_step_tokens as usize {
            return Err(format!("{} tokens, limit {max_step_tokens}", step.num_tokens()));
        }
        let mut seen = HashSet::new();
        match step.work.iter().find(|work| !seen.insert(work.seq)) {
            Some(work) => Err(format!("{:?} is in the step twice", work.seq)),
            None => Ok(()),
        }
    }

    fn check_work(&self, work: &SeqWork) -> Result<(), String> {
        let EngineLimits { block_size, max_model_len, vocab_size, .. } = self.limits;
        let (cached, num_input) = (work.num_cached_tokens as usize, work.input.len());
        let end = cached + num_input;
        let CacheGroups { whole, .. } = self.limits.groups;
        let passed = self.limits.num_passed_columns(work.num_cached_tokens) as usize;
        let (blocks, width) = (&work.block_table.0, self.limits.groups.count() as usize);
        let is_held = |idx: usize| idx / width >= passed || idx % width < whole as usize;
        let mut held = blocks.iter().enumerate().filter(|(idx, _)| is_held(*idx));
        let mut seen = HashSet::new();
        if num_input == 0 {
            Err("no input".into())
        } else if work.num_known() == 0 {
            Err("all of the input is drafts".into())
        } else if end > max_model_len as usize {
            Err(format!("{end} positions, the model has {max_model_len}"))
        } else if blocks.len() % width > 0 || blocks.len() / width * (block_size as usize) < end {
            Err(format!("{} blocks do not cover {end} positions", blocks.len()))
        } else if !held.all(|(_, block)| seen.insert(block)) {
            Err("a block is in the table twice".into())
        } else if let Some(token) = work.input.iter().find(|token| **token >= vocab_size) {
            Err(format!("token {token} is outside the vocabulary of {vocab_size}"))
        } else if !work.insets.iter().all(|inset| inset.fits(num_input)) {
            Err("an inset is outside of the input".into())
        } else {
            check_wants(work)
        }
    }

    fn compute(&mut self, step: &Step) -> Result<StepOutput, String> {
        if !self.is_checked {
            let answer = |work: &SeqWork| self.answer(work, &vec![0; work.input.len()]);
            return Ok(StepOutput { outputs: step.work.iter().map(answer).collect() });
        }
        self.check_step(step)?;
        // All reads see the memory before any write of this step: on a real device sequences
        // of one step are computed side by side.
        let mut prefixes = Vec::with_capacity(step.work.len());
        for work in &step.work {
            let checked = self.check_work(work).and_then(|()| self.memory.read_prefix(work));
            prefixes.push(checked.map_err(|e| format!("{:?}: {e}", work.seq))?);
        }
        let mut outputs = Vec::with_capacity(step.work.len());
        for (work, prefix) in step.work.iter().zip(prefixes) {
            let after = self.memory.write(work, prefix, step.step_idx);
            let after = after.map_err(|e| format!("{:?}: {e}", work.seq))?;
            outputs.push(self.answer(work, &after));
        }
        // Nobody's cached positions may have been written over by another sequence.
        for work in &step.work {
            self.memory.read_prefix(work).map_err(|e| format!("{:?} after: {e}", work.seq))?;
        }
        Ok(StepOutput { outputs })
    }

    fn answer(&self, work: &SeqWork, after: &[u64]) -> SeqOutput {
        let vocab_size = self.limits.vocab_size;
        let mut sampled = Vec::new();
        let (mut is_late, mut error) = (false, None);
        if let Want::Sample(sample) = &work.want {
            let drafts = work.drafts();
            for (num_right, prefix) in after[work.num_known() - 1..].iter().enumerate() {
                if work.is_reached(num_right, &sampled) {
                    let sample = sample.after(&drafts[..num_right]);
                    match self.model.sample(*prefix, &sample, vocab_size) {
                        Ok(token) => sampled.push(token),
                        Err(NoMask::Late) => is_late = true,
                        Err(NoMask::Failed(cause)) => error = Some(cause.into()),
                    }
                }
            }
        }
        let scores = work.score.iter().flat_map(|score| {
            let pairs = score.targets.iter().zip(after);
            pairs
                .map(|(token, prefix)| self.model.score(*prefix, *token, score.num_top, vocab_size))
        });
        let scores: Vec<TokenLogprobs> = scores.collect();
        SeqOutput { seq: work.seq, sampled, is_late, scores, error }
    }
}

/// Whether history and score agree with the work they come with.
fn check_wants(work: &SeqWork) -> Result<(), String> {
    let known = &work.input[..work.num_known()];
    if matches!(work.want, Want::Nothing) && work.num_drafts > 0 {
        return Err("drafts where nothing is sampled".into());
    }
    if let Want::Sample(sample) = &work.want {
        if sample.mask.is_some() && work.num_drafts > 0 {
            return Err("drafts where a grammar is followed".into());
        }
        if sample.history.is_some() != sample.params.needs_history() {
            return Err("history set without need, or missing".into());
        }
        if let Some(history) = &sample.history {
            let tail = history.tokens.get(work.num_cached_tokens as usize..);
            if tail != Some(known) {
                return Err("history does not end with the input".into());
            }
            let num_generated = history.tokens.len() - history.num_prompt_tokens as usize;
            if num_generated != sample.num_generated as usize {
                return Err(format!("history has {num_generated} generated tokens"));
            }
        }
    }
    if let Some(score) = &work.score {
        let (num_targets, num_input) = (score.targets.len(), known.len());
        if num_targets != num_input && num_targets + 1 != num_input {
            return Err(format!("{num_targets} targets for {num_input} tokens"));
        }
        let followed = known.iter().skip(1);
        if !score.targets.iter().zip(followed).all(|(target, next)| target == next) {
            return Err("targets are not the tokens that follow".into());
        }
    }
    Ok(())
}

impl Engine for MockEngine {
    fn limits(&self) -> EngineLimits {
        self.limits
    }

    fn execute(&mut self, step: &Step) -> Result<StepOutput, EngineError> {
        let cost = self.model.cost;
        self.clock.advance(cost.step_us + cost.token_us * step.num_tokens() as u64);
        if !cost.delay.is_zero() {
            std::thread::sleep(cost.delay);
        }
        let mut out = self.compute(step).map_err(EngineError::InvalidStep)?;
        self.next_step = step.step_idx + 1;
        let Some(fault) = self.faults.remove(&step.step_idx) else { return Ok(out) };
        let spoilt = match fault {
            Fault::Sequence(entry) => &step.work[entry % step.work.len()..][..1],
            _ => &step.work[..],
        };
        for work in spoilt {
            self.memory.spoil(work).map_err(EngineError::InvalidStep)?;
        }
        match fault {
            Fault::Sequence(entry) => {
                let num_outputs = out.outputs.len();
                let output = &mut out.outputs[entry % num_outputs];
                (output.sampled, output.scores) = (Vec::new(), Vec::new());
                output.error = Some(EngineError::Device("injected".into()));
                Ok(out)
            }
            Fault::Error(text) => Err(EngineError::Device(text)),
            Fault::Panic => panic!("injected into step {}", step.step_idx),
        }
    }
}
