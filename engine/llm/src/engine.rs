//! [`Engine`] over any [`Executor`]: checks a step, runs it, samples.
//!
//! Invariant: whatever a step says, nothing outside buffers and cache is touched; a step that
//! does not fit the limits is refused whole.

use std::sync::OnceLock;

use engine_core::{Engine, EngineError, EngineLimits, SeqOutput, SeqWork, Step, StepOutput, Want};

use crate::{
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
        check(step, &self.limits).map_err(EngineError::InvalidStep)?;
        flatten(step, &mut self.batch);
        self.executor.forward(&self.batch)?;
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
fn flatten(step: &Step, batch: &mut Batch) {
    batch.tokens.clear();
    batch.positions.clear();
    batch.blocks.clear();
    batch.spans.clear();
    for work in &step.work {
        batch.spans.push(Span {
            first_row: batch.tokens.len(),
            num_rows: work.input.len(),
            first_block: batch.blocks.len(),
            num_blocks: work.block_table.0.len(),
        });
        batch.tokens.extend_from_slice(&work.input);
        batch.positions.extend((work.num_cached_tokens..).take(work.input.len()));
        batch.blocks.extend(work.block_table.0.iter().map(|block| block.0));
    }
}

/// Whether the step fits the limits; the reason if not.
fn check(step: &Step, limits: &EngineLimits) -> Result<(), String> {
    if step.work.len() > limits.max_step_seqs as usize
        || step.num_tokens() > limits.max_step_tokens as usize
    {
        let (seqs, tokens) = (step.work.len(), step.num_tokens());
        return Err(format!("{seqs} sequences with {tokens} tokens are more than the limits"));
    }
    step.work.iter().try_for_each(|work| {
        check_work(work, limits).map_err(|reason| format!("sequence {}: {reason}", work.seq.0))
    })
}

fn check_work(work: &SeqWork, limits: &EngineLimits) -> Result<(), &'static str> {
    let end = work.num_cached_tokens as usize + work.input.len();
    let num_drafts = work.num_drafts as usize;
    let (samples, has_mask) = match &work.want {
        Want::Nothing => (0, false),
        Want::Sample(sample) => (1 + num_drafts, sample.mask.is_some()),
    };
    let targets = work.score.as_ref().map_or(0, |score| score.targets.len());
    let blocks = &work.block_table.0;
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
    } else if blocks.len() * (limits.block_size as usize) < end {
        Err("the block table does not cover the input")
    } else if blocks.iter().any(|block| block.0 >= limits.num_blocks) {
        Err("a block that does not exist")
    } else if targets + samples > work.input.len() {
        Err("a position is wanted twice")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use engine_core::{BlockId, BlockTable, Sample, Score, SeqId};

    use super::*;
    use crate::executors::EachRow;

    /// Token 7 gives logits that are no numbers, every other one the token after it.
    struct Echo(Vec<u32>);

    impl Executor for Echo {
        fn block_size(&self) -> usize {
            4
        }

        fn num_blocks(&self) -> usize {
            8
        }

        fn max_rows(&self) -> usize {
            16
        }

        fn max_logit_rows(&self) -> usize {
            2
        }

        fn forward(&mut self, batch: &Batch) -> Result<(), EngineError> {
            self.0.clone_from(&batch.tokens);
            Ok(())
        }

        fn logits(&mut self, rows: &[usize], each: &EachRow<'_>) -> Result<(), EngineError> {
            for (i, row) in rows.iter().enumerate() {
                let token = self.0[*row];
                let mut logits = [if token == 7 { f32::NAN } else { 0.0 }; 10];
                logits[(token as usize + 1) % 10] = 50.0;
                each(i, &mut logits);
            }
            Ok(())
        }
    }

    fn work(seq: u64, input: &[u32], score: bool) -> SeqWork {
        let sample = Sample {
            params: Default::default(),
            seed: 0,
            num_generated: 0,
            min_tokens: 0,
            banned: [].into(),
            history: None,
            mask: None,
        };
        SeqWork {
            seq: SeqId(seq),
            input: input.to_vec(),
            num_drafts: 0,
            num_cached_tokens: 0,
            block_table: BlockTable(vec![BlockId(seq as u32)]),
            want: Want::Sample(sample),
            score: score.then(|| Score { targets: input[1..].to_vec(), num_top: 1 }),
        }
    }

    #[test]
    fn a_row_that_is_not_finite_fails_its_own_sequence_only() {
        let mut engine = LlmEngine::new(Box::new(Echo(Vec::new())), 10, 100, 4);
        let work = vec![
            work(0, &[1, 2], true),
            work(1, &[7], false),
            work(2, &[7, 3], true),
            work(3, &[7, 4], false),
        ];
        let out = engine.execute(&Step { step_idx: 0, work }).expect("the step itself is well");
        let got: Vec<_> = out
            .outputs
            .iter()
            .map(|o| (o.error.is_some(), o.sampled.first().map(|s| s.token), o.scores.len()))
            .collect();
        assert_eq!((got[0], got[3]), ((false, Some(3), 1), (false, Some(5), 0)));
        assert_eq!((got[1].0, got[1].1), (true, None));
        // Its sample is well, a score is not.
        assert!(got[2].0, "{got:?}");
        let text = out.outputs[1].error.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(text.contains("not numbers"), "{text}");
    }

    #[test]
    fn tokens_count_as_far_as_the_drafts_before_them_are_right() {
        // More rows than the executor gives logits for at a time.
        for (input, num_drafts, expect) in [
            (&[1, 2, 3, 4][..], 3, vec![2, 3, 4, 5]),
            (&[1, 2, 3, 9], 3, vec![2, 3, 4]),
            (&[1, 5, 6, 7], 3, vec![2]),
            (&[0, 1, 3, 4], 2, vec![2]),
            (&[0, 1, 2], 1, vec![2, 3]),
            // The row of the 7 is bad: as far as it, all is well.
            (&[5, 6, 7, 8], 3, vec![6, 7]),
            // It is bad, and nobody asks.
            (&[1, 7], 1, vec![2]),
        ] {
            let mut engine = LlmEngine::new(Box::new(Echo(Vec::new())), 10, 100, 4);
            let drafted = SeqWork { num_drafts, ..work(0, input, false) };
            let step = Step { step_idx: 0, work: vec![drafted, work(1, &[3], false)] };
            let out = engine.execute(&step).expect("the step is well").outputs;
            let tokens: Vec<_> = out[0].sampled.iter().map(|s| s.token).collect();
            assert_eq!((tokens, &out[0].error), (expect, &None), "{input:?}");
            assert_eq!(out[1].sampled[0].token, 4);
        }
    }

    #[test]
    fn drafts_that_make_no_sense_are_refused() {
        let all = SeqWork { num_drafts: 2, ..work(0, &[1, 2], false) };
        let more = SeqWork { num_drafts: 3, ..work(0, &[1, 2], false) };
        let unasked = SeqWork { num_drafts: 1, want: Want::Nothing, ..work(0, &[1, 2], false) };
        let twice = SeqWork { num_drafts: 1, ..work(0, &[1, 2], true) };
        for (work, expect) in [
            (all, "no input but drafts"),
            (more, "no input but drafts"),
            (unasked, "nothing is sampled"),
            (twice, "wanted twice"),
        ] {
            let mut engine = LlmEngine::new(Box::new(Echo(Vec::new())), 10, 100, 4);
            let error = engine.execute(&Step { step_idx: 0, work: vec![work] }).expect_err(expect);
            assert!(error.to_string().contains(expect), "{error}");
        }
    }
}
