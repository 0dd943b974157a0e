//! The way in: submits texts to an encoder's driver from any thread, and waits for their rows.
//!
//! Invariant: a submission never waits for a batch. Dropping [`Rows`] before they are there takes
//! the request out at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use engine_core::{EncodeInput, EncoderInfo, RequestError, TenantId, Usage};
use tokio::sync::oneshot;

use super::config::{EncodeRefusal, EncodingConfig, check};
use super::queue::{EncodeQueue, Job, JobId};
use crate::began::Began;
use crate::desk::{Desk, Door, Queue};
use crate::{Observer, Outcome, RequestEnd, Shutdown, Stats};

type Answer = Result<Vec<Vec<f32>>, RequestError>;

/// What goes with a request through the queue.
pub(super) struct Waiting {
    sender: oneshot::Sender<Answer>,
    submitted: Instant,
    began: Began,
}

/// Requests, and what is counted of them.
pub(super) struct Work {
    pub(super) queue: EncodeQueue<Waiting>,
    pub(super) observer: Box<dyn Observer>,
    pub(super) num_batches: u64,
    pub(super) num_tokens: u64,
}

impl Queue for Work {
    type Ends = Vec<End>;

    fn abort(&mut self) -> Vec<End> {
        let jobs = self.queue.clear();
        self.fail(jobs, &RequestError::ShuttingDown)
    }

    fn tell(ends: Vec<End>) {
        ends.into_iter().for_each(End::tell);
    }
}

/// An answer that is counted, and not yet given.
pub(super) struct End(oneshot::Sender<Answer>, Answer);

impl End {
    /// Outside of the lock: it wakes who waits, who may want it.
    pub(super) fn tell(self) {
        // Who does not listen any more has no use for it.
        let _ = self.0.send(self.1);
    }
}

impl Work {
    pub(super) fn new(config: EncodingConfig, observer: Box<dyn Observer>) -> Self {
        let queue = EncodeQueue::new(config);
        Self { queue, observer, num_batches: 0, num_tokens: 0 }
    }

    /// Counts the end of a request that left the queue.
    pub(super) fn end(&mut self, job: Job<Waiting>, answer: Answer) -> End {
        let outcome = if answer.is_ok() { Outcome::Finished } else { Outcome::Failed };
        let usage = answer.is_ok().then(|| usage(&job));
        let took = job.with.submitted.elapsed();
        self.observer.request_ended(RequestEnd { took, outcome, usage });
        End(job.with.sender, answer)
    }

    /// The same of several that failed.
    pub(super) fn fail(&mut self, jobs: Vec<Job<Waiting>>, error: &RequestError) -> Vec<End> {
        jobs.into_iter().map(|job| self.end(job, Err(error.clone()))).collect()
    }

    /// A request's first input is computed.
    pub(super) fn begins(&mut self, id: JobId) {
        if let Some(job) = self.queue.get(id) {
            job.with.began.set();
            self.observer.queued(job.with.submitted.elapsed());
        }
    }
}

fn usage(job: &Job<Waiting>) -> Usage {
    let prompt_tokens = u32::try_from(job.num_tokens).unwrap_or(u32::MAX);
    Usage { prompt_tokens, ..Usage::default() }
}

/// Submits texts to one encoder; cheap to clone.
#[derive(Clone)]
pub struct EncoderHandle {
    info: Arc<EncoderInfo>,
    retry_after_s: u32,
    door: Arc<Door<Work>>,
}

impl EncoderHandle {
    pub(super) fn new(info: EncoderInfo, retry_after_s: u32, desk: Arc<Desk<Work>>) -> Self {
        Self { info: Arc::new(info), retry_after_s, door: Arc::new(Door(desk)) }
    }

    fn desk(&self) -> &Arc<Desk<Work>> {
        &self.door.0
    }

    /// What the encoder is.
    pub fn info(&self) -> &EncoderInfo {
        &self.info
    }

    /// Queues a request; its rows come together.
    ///
    /// # Errors
    /// At once: an input can never be computed, the queue is full, or the driver is stopping.
    pub fn submit(
        &self,
        tenant: &TenantId,
        inputs: Vec<Arc<EncodeInput>>,
    ) -> Result<Rows, EncodeRefusal> {
        for (index, input) in inputs.iter().enumerate() {
            check(input, &self.info)
                .map_err(|problem| EncodeRefusal::Invalid { index, problem })?;
        }
        let ((sender, answer), began) = (oneshot::channel(), Began::default());
        let desk = self.desk();
        let mut state = desk.enter().ok_or(EncodeRefusal::ShuttingDown)?;
        if inputs.is_empty() {
            let _ = sender.send(Ok(Vec::new()));
            return Ok(Rows { request: None, answer, began });
        }
        let with = Waiting { sender, submitted: Instant::now(), began: began.clone() };
        let entered = state.work.queue.enter(tenant, inputs, with);
        drop(state);
        let id = entered.map_err(|waiting| EncodeRefusal::QueueFull {
            waiting,
            retry_after_s: self.retry_after_s,
        })?;
        desk.ring();
        Ok(Rows { request: Some((id, Arc::clone(desk))), answer, began })
    }

    /// Counts by now: a batch is a step, and its tokens are a prompt's.
    pub fn stats(&self) -> Stats {
        let work = &self.desk().lock().work;
        let (running, waiting) = work.queue.num_jobs();
        let (prompt_tokens, steps) = (work.num_tokens, work.num_batches);
        Stats { running, waiting, prompt_tokens, steps, ..Stats::default() }
    }

    /// Whether the driver's thread runs: false after a shutdown came to its end, or if the driver
    /// itself failed (a failing encoder does not end it).
    pub fn is_alive(&self) -> bool {
        self.desk().is_alive()
    }

    /// Stops the driver: nothing is taken from now on, and its thread ends when what is left has
    /// ended as `how` says.
    pub fn shutdown(&self, how: Shutdown) {
        self.desk().shutdown(how);
    }
}

/// The rows of a request to come, in the order of its inputs.
pub struct Rows {
    /// Until it ends.
    request: Option<(JobId, Arc<Desk<Work>>)>,
    answer: oneshot::Receiver<Answer>,
    began: Began,
}

impl Rows {
    /// When the first of it was computed; `None` until then.
    pub fn began(&self) -> Option<Instant> {
        self.began.get()
    }
}

impl Future for Rows {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        self.request = None;
        // A driver that ended without a word was shut down as this request came in.
        Poll::Ready(answer.unwrap_or(Err(RequestError::ShuttingDown)))
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        let Some((id, desk)) = self.request.take() else { return };
        let work = &mut desk.lock().work;
        // Not there: it ended, and nobody looked.
        let Some(job) = work.queue.remove(id) else { return };
        let took = job.with.submitted.elapsed();
        let end = RequestEnd { took, outcome: Outcome::Cancelled, usage: Some(usage(&job)) };
        work.observer.request_ended(end);
    }
}
