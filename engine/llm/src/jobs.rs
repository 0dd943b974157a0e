//! What is wanted of the rows of a step, and what came of each.
//!
//! Invariant: rows are sampled side by side, those after drafts as if the drafts were right; only
//! what follows from the tokens before it gets into the answer.

use std::{borrow::Cow, sync::OnceLock};

use engine_core::{EngineError, Sample, Sampled, SeqOutput, SeqWork, Step, TokenLogprobs, Want};

use crate::{
    executors::{Batch, Executor},
    sampler::{SampleError, check_row, sample, token_logprobs},
};

/// What is to be made of one row of logits.
enum Job<'a> {
    /// The token after the known ones and `num_right` drafts, if those are right.
    Sample {
        request: Cow<'a, Sample>,
        num_right: usize,
    },
    Score {
        target: u32,
        num_top: u32,
    },
}

/// What came of it.
enum Outcome {
    Sampled(Sampled),
    Scored(TokenLogprobs),
}

type Done = Result<Outcome, SampleError>;

/// A job, the row it reads, and the entry of the step it belongs to.
pub(crate) struct RowJob<'a> {
    entry: usize,
    work: &'a SeqWork,
    row: usize,
    job: Job<'a>,
}

/// Computes the logits of `jobs`' rows and what is wanted of them, rows in parallel. A row that
/// is not finite fails its own sequence, unless it comes after drafts: then the sequence has got
/// further, and fails in the next step if that row was right.
pub(crate) fn run_jobs(
    executor: &mut dyn Executor,
    jobs: &[RowJob<'_>],
    outputs: &mut [SeqOutput],
) -> Result<(), EngineError> {
    let rows: Vec<usize> = jobs.iter().map(|job| job.row).collect();
    let done: Vec<OnceLock<Done>> = jobs.iter().map(|_| OnceLock::new()).collect();
    executor.logits(&rows, &|i, logits| {
        let result = match &jobs[i].job {
            Job::Sample { request, .. } => sample(logits, request).map(Outcome::Sampled),
            Job::Score { target, num_top } => check_row(logits)
                .map(|()| Outcome::Scored(token_logprobs(logits, *target, *num_top)))
                .map_err(SampleError::from),
        };
        // Each row is handed over once; a second answer would be the same.
        let _ = done[i].set(result);
    })?;
    for (job, done) in jobs.iter().zip(done) {
        let missing = || EngineError::Device("the executor left out a row".into());
        let output = &mut outputs[job.entry];
        let done = done.into_inner().ok_or_else(missing)?;
        let num_right = match job.job {
            Job::Sample { num_right, .. } => num_right,
            Job::Score { .. } => 0,
        };
        match done {
            Ok(Outcome::Scored(score)) => output.scores.push(score),
            Ok(Outcome::Sampled(sampled)) if job.work.is_reached(num_right, &output.sampled) => {
                output.sampled.push(sampled);
            }
            // One bad row is no reason to fail the sequences beside it.
            Err(error) if num_right == 0 => match error {
                SampleError::Late => output.is_late = true,
                SampleError::Grammar(error) => output.error = Some(EngineError::Grammar(error)),
                SampleError::NotFinite(error) => {
                    output.error = Some(EngineError::Device(error.to_string()));
                }
            },
            Ok(Outcome::Sampled(_)) | Err(_) => {}
        }
    }
    Ok(())
}

/// The rows whose logits are wanted; the engine has checked that none is wanted twice.
pub(crate) fn row_jobs<'a>(step: &'a Step, batch: &Batch) -> Vec<RowJob<'a>> {
    let mut jobs = Vec::new();
    for (entry, (work, span)) in step.work.iter().zip(&batch.spans).enumerate() {
        if let Some(score) = &work.score {
            jobs.extend((span.first_row..).zip(&score.targets).map(|(row, target)| RowJob {
                entry,
                work,
                row,
                job: Job::Score { target: *target, num_top: score.num_top },
            }));
        }
        if let Want::Sample(request) = &work.want {
            let (drafts, first_row) = (work.drafts(), span.first_row + work.num_known() - 1);
            jobs.extend((0..=drafts.len()).map(|num_right| {
                let request = match num_right {
                    0 => Cow::Borrowed(request),
                    _ => Cow::Owned(request.after(&drafts[..num_right])),
                };
                let job = Job::Sample { request, num_right };
                RowJob { entry, work, row: first_row + num_right, job }
            }));
        }
    }
    jobs
}
