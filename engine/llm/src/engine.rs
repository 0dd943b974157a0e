//! [`Engine`] over any [`Executor`]: checks a step, runs it, samples.
//!
//! Invariant: whatever a step says, nothing outside buffers and cache is touched; a step that
//! does not fit the limits is refused whole.

use std::sync::OnceLock;

use engine_core::{
    Engine, EngineError, EngineLimits, Inset, SeqOutput, SeqWork, Step, StepOutput, Want,
};

use crate::{
    adapters::Lora,
    executors::{Batch, Executor, Span},
    jobs::{row_jobs, run_jobs},
};

/// A language model ready to run steps.
pub struct LlmEngine {
    executor: Box<dyn Executor>,
    limits: EngineLimits,
    batch: Batch,
}

impl LlmEngine {
    /// `max_step_seqs` bounds the sequences of one step.
    pub fn new(
        executor: Box<dyn Executor>,
        vocab_size: usize,
        max_model_len: usize,
        max_step_seqs: usize,
    ) -> Self {
        let as_u32 = |x: usize| u32::try_from(x).unwrap_or(u32::MAX);
        let limits = EngineLimits {
            block_size: as_u32(executor.block_size()),
            num_blocks: as_u32(executor.num_blocks()),
            max_model_len: as_u32(max_model_len),
            max_step_tokens: as_u32(executor.max_rows()),
            max_step_seqs: as_u32(max_step_seqs),
            vocab_size: as_u32(vocab_size),
            groups: executor.groups(),
        };
        Self { executor, limits, batch: Batch::default() }
    }

    /// Logits of every input position of the last executed step's entry `work`, row-major; for
    /// tests that compare with a reference.
    ///
    /// # Errors
    /// If the device fails.
    pub fn logits_of(&mut self, work: usize) -> Result<Vec<f32>, EngineError> {
        let Some(span) = self.batch.spans.get(work).copied() else {
            return Err(EngineError::InvalidStep(format!("no entry {work} in the last step")));
        };
        let rows: Vec<usize> = (span.first_row..span.first_row + span.num_rows).collect();
        let mut all = Vec::new();
        for rows in rows.chunks(self.executor.max_logit_rows()) {
            let done: Vec<OnceLock<Vec<f32>>> = rows.iter().map(|_| OnceLock::new()).collect();
            self.executor.logits(rows, &|i, logits| {
                let _ = done[i].set(logits.to_vec());
            })?;
            all.extend(done.into_iter().filter_map(OnceLock::into_inner).flatten());
        }
        Ok(all)
    }
}

impl Engine for LlmEngine {
    fn limits(&self) -> EngineLimits {
        self.limits
    }

    fn execute(&mut self, step: &Step) -> Result<StepOutput, EngineError> {
        let width = self.executor.embedding_width();
        check(step, &self.limits, width).map_err(EngineError::InvalidStep)?;
        flatten(step, self.limits.groups.count() as usize, &mut self.batch);
        let computed = set_adapters(step, &*self.executor, &mut self.batch)
            .and_then(|()| self.executor.forward(&self.batch));
        // Whoever has nothing more to compute lets go of its adapter and its images.
        self.batch.adapters.clear();
        self.batch.insets.clear();
        computed?;
        let mut outputs: Vec<SeqOutput> = step
            .work
            .iter()
            .map(|work| SeqOutput {
                seq: work.seq,
                sampled: Vec::new(),
                is_late: false,
                scores: Vec::new(),
                error: None,
            })
            .collect();
        let jobs = row_jobs(step, &self.batch);
        for jobs in jobs.chunks(self.executor.max_logit_rows()) {
            run_jobs(&mut *self.executor, jobs, &mut outputs)?;
        }
        Ok(StepOutput { outputs })
    }
}

/// Lays the step out row by row, reusing the batch's memory.
fn flatten(step: &Step, num_groups: usize, batch: &mut Batch) {
    batch.tokens.clear();
    batch.positions.clear();
    batch.blocks.clear();
    batch.spans.clear();
    batch.insets.clear();
    for work in &step.work {
        batch.spans.push(Span {
            first_row: batch.tokens.len(),
            num_rows: work.input.len(),
            first_block: batch.blocks.len(),
            num_blocks: work.block_table.0.len() / num_groups,
        });
        let first_row = batch.tokens.len();
        let insets = work.insets.iter().cloned();
        batch.insets.extend(insets.map(|inset| (first_row + inset.at as usize, inset)));
        batch.tokens.extend_from_slice(&work.input);
        batch.positions.extend((work.num_cached_tokens..).take(work.input.len()));
        for group in 0..num_groups {
            let blocks = work.block_table.0.iter().skip(group).step_by(num_groups);
            batch.blocks.extend(blocks.map(|block| block.0));
        }
    }
}

/// Takes the sequences' adapters over, if they are all ones for this executor.
fn set_adapters(
    step: &Step,
    executor: &dyn Executor,
    batch: &mut Batch,
) -> Result<(), EngineError> {
    for (span, work) in step.work.iter().enumerate() {
        let Some(adapter) = &work.adapter else { continue };
        let lora = adapter.weights::<Lora>().filter(|lora| executor.takes(lora));
        let Some(lora) = lora else {
            let (seq, id) = (work.seq.0, adapter.id());
            let what = format!("sequence {seq}: adapter {id} is none for this model");
            return Err(EngineError::InvalidStep(what));
        };
        batch.adapters.push((span, lora));
    }
    Ok(())
}

/// Whether the step fits the limits, and rows in place of embeddings are `width` wide; the reason
/// if not.
fn check(step: &Step, limits: &EngineLimits, width: usize) -> Result<(), String> {
    if step.work.len() > limits.max_step_seqs as usize
        || step.num_tokens() > limits.max_step_tokens as usize
    {
        let (seqs, tokens) = (step.work.len(), step.num_tokens());
        return Err(format!("{seqs} sequences with {tokens} tokens are more than the limits"));
    }
    step.work.iter().try_for_each(|work| {
        check_work(work, limits, width)
            .map_err(|reason| format!("sequence {}: {reason}", work.seq.0))
    })
}

fn check_work(work: &SeqWork, limits: &EngineLimits, width: usize) -> Result<(), &'static str> {
    let end = work.num_cached_tokens as usize + work.input.len();
    let num_drafts = work.num_drafts as usize;
    let (samples, has_mask) = match &work.want {
        Want::Nothing => (0, false),
        Want::Sample(sample) => (1 + num_drafts, sample.mask.is_some()),
    };
    let targets = work.score.as_ref().map_or(0, |score| score.targets.len());
    let (blocks, num_groups) = (&work.block_table.0, limits.groups.count() as usize);
    let is_well = |inset: &Inset| inset.fits(work.input.len()) && inset.rows.width() == width;
    if work.input.is_empty() {
        Err("no input")
    } else if num_drafts >= work.input.len() {
        Err("no input but drafts")
    } else if num_drafts > 0 && samples == 0 {
        Err("drafts where nothing is sampled")
    } else if num_drafts > 0 && has_mask {
        Err("drafts where a grammar is followed")
    } else if end > limits.max_model_len as usize {
        Err("past the end of the context")
    } else if work.input.iter().any(|token| *token >= limits.vocab_size) {
        Err("a token outside the vocabulary")
    } else if !work.insets.iter().all(is_well) {
        Err("rows in place of embeddings that do not fit")
    } else if blocks.len() / num_groups * (limits.block_size as usize) < end {
        Err("the block table does not cover the input")
    } else if !blocks.len().is_multiple_of(num_groups) {
        Err("a block table without a block of every group")
    } else if blocks.iter().any(|block| block.0 >= limits.num_blocks) {
        Err("a block that does not exist")
    } else if targets + samples > work.input.len() {
        Err("a position is wanted twice")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
