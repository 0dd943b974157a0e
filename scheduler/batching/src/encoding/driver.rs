//! The thread that runs one encoder: take → encode → give, for ever.
//!
//! Invariant: an encoder that fails or panics fails the requests of that batch, and the driver
//! goes on; whatever happens, every request gets its answer.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine_core::{EncodeInput, Encoder, EncoderInfo, EncoderOutput, EngineError, RequestError};

use super::config::EncodingConfig;
use super::handle::{EncoderHandle, End, Work};
use super::queue::Batch;
use crate::desk::Desk;
use crate::{Observer, StepSize, caught};

/// The running thread of one encoder. Dropping it lets the thread run on.
pub struct EncoderDriver(JoinHandle<()>);

impl EncoderDriver {
    /// Waits until the thread has ended (see [`EncoderHandle::shutdown`]).
    pub fn join(self) {
        // A panic of the driver's own was printed where it happened; requests have got their end.
        let _ = self.0.join();
    }
}

/// Starts a driver.
///
/// # Panics
/// If the operating system gives no thread.
pub fn spawn_encoder(
    encoder: Box<dyn Encoder>,
    config: EncodingConfig,
    observer: Box<dyn Observer>,
) -> (EncoderHandle, EncoderDriver) {
    let info = encoder.info().clone();
    let desk = Arc::new(Desk::new(Work::new(config, observer)));
    let run = Run { encoder, info: info.clone(), desk: Arc::clone(&desk) };
    let thread = std::thread::Builder::new().name("encoder".to_owned()).spawn(move || run.run());
    let thread = thread.expect("the operating system gives a thread");
    (EncoderHandle::new(info, config.retry_after_s, desk), EncoderDriver(thread))
}

/// What the thread owns.
struct Run {
    encoder: Box<dyn Encoder>,
    info: EncoderInfo,
    desk: Arc<Desk<Work>>,
}

impl Run {
    fn run(mut self) {
        while let Some(batch) = self.take() {
            let began = Instant::now();
            let rows = self.encode(&batch);
            self.give(&batch, rows, began.elapsed());
        }
    }

    /// What to compute next, waiting for something; `None` when it is time to end.
    fn take(&self) -> Option<Batch> {
        let mut state = self.desk.lock();
        loop {
            let work = &mut state.work;
            if work.queue.has_waiting() {
                let batch = work.queue.take(self.info.max_batch_tokens);
                if !batch.inputs.is_empty() {
                    work.num_tokens += batch.num_tokens as u64;
                    batch.begun.iter().for_each(|id| work.begins(*id));
                    return Some(batch);
                }
                // An input longer than any batch: only an encoder that says of itself what cannot
                // be brings this about, and its clients shall not wait for ever.
                let error = EngineError::InvalidStep("an input is longer than a batch".into());
                let jobs = work.queue.clear();
                work.fail(jobs, &RequestError::Engine(error)).into_iter().for_each(End::tell);
            } else if state.stop.is_some() {
                return None;
            } else {
                state = self.desk.wait(state);
            }
        }
    }

    fn encode(&mut self, batch: &Batch) -> Result<Vec<Vec<f32>>, EngineError> {
        let (encoder, inputs) = (&mut self.encoder, &batch.inputs);
        let rows = caught::run(|| encoder.encode(inputs)).unwrap_or_else(|at| {
            tracing::error!(at, "the encoder panicked");
            Err(EngineError::Device("the encoder panicked".into()))
        });
        let rows = rows.and_then(|rows| check(rows, inputs, &self.info));
        if let Err(error) = &rows {
            tracing::error!(inputs = inputs.len(), %error, "batch failed");
        }
        rows
    }

    /// Counts first, then answers: who hears the end of a request sees it gone from the counts.
    fn give(&self, batch: &Batch, rows: Result<Vec<Vec<f32>>, EngineError>, took: Duration) {
        let mut state = self.desk.lock();
        let work = &mut state.work;
        work.num_batches += 1;
        let size = StepSize { num_seqs: batch.inputs.len(), num_tokens: batch.num_tokens };
        work.observer.step(took, size);
        let ends: Vec<_> = match rows {
            Ok(rows) => {
                let done = work.queue.give(&batch.owners, rows);
                let ends = done.into_iter().map(|mut job| {
                    let rows = std::mem::take(&mut job.rows);
                    work.end(job, Ok(rows))
                });
                ends.collect()
            }
            Err(error) => {
                let owners = batch.owners.iter().filter_map(|id| work.queue.remove(*id));
                let jobs = owners.collect();
                work.fail(jobs, &RequestError::Engine(error))
            }
        };
        drop(state);
        ends.into_iter().for_each(End::tell);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.desk.leave();
    }
}

/// One row for each input, of the right length and of numbers: what a client gets is JSON.
fn check(
    rows: Vec<Vec<f32>>,
    inputs: &[Arc<EncodeInput>],
    info: &EncoderInfo,
) -> Result<Vec<Vec<f32>>, EngineError> {
    let wrong = |what: String| Err(EngineError::Device(what));
    let width = |input: &EncodeInput| match &info.output {
        EncoderOutput::Embedding { dim, .. } => *dim,
        EncoderOutput::Rows { width } => width * input.tokens.len(),
        EncoderOutput::Logits { labels, .. } => labels.len(),
    };
    if rows.len() != inputs.len() {
        return wrong(format!("{} rows for {} inputs", rows.len(), inputs.len()));
    }
    let mut both = rows.iter().zip(inputs);
    if let Some((row, input)) = both.find(|(row, input)| row.len() != width(input)) {
        return wrong(format!("a row of {} numbers, not {}", row.len(), width(input)));
    }
    if rows.iter().flatten().any(|number| !number.is_finite()) {
        return wrong("a row has what is no number".to_owned());
    }
    Ok(rows)
}
