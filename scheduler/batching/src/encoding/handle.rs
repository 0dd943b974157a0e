//! The way in: submits texts to an encoder's driver from any thread, and waits for their rows.
//!
//! Invariant: a submission never waits for a batch. Dropping [`Rows`] before they are there takes
//! the request out at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use engine_core::{EncodeInput, EncoderInfo, RequestError, TenantId, Usage};
use tokio::sync::oneshot;

use super::config::{EncodeRefusal, EncodingConfig, check};
use super::queue::{EncodeQueue, Job, JobId};
use crate::{Observer, Outcome, RequestEnd, Shutdown, Stats};

type Answer = Result<Vec<Vec<f32>>, RequestError>;

/// What goes with a request through the queue.
pub(super) struct Waiting {
    sender: oneshot::Sender<Answer>,
    submitted: Instant,
}

/// What handles, rows and their driver share.
pub(super) struct Shared {
    pub(super) info: EncoderInfo,
    retry_after_s: u32,
    /// Whether the driver's thread has not ended.
    pub(super) alive: AtomicBool,
    work: Condvar,
    state: Mutex<State>,
}

/// What is changed under the lock, which nobody holds while the encoder computes.
pub(super) struct State {
    pub(super) queue: EncodeQueue<Waiting>,
    pub(super) stop: Option<Shutdown>,
    pub(super) observer: Box<dyn Observer>,
    pub(super) num_batches: u64,
    pub(super) num_tokens: u64,
}

impl Shared {
    pub(super) fn new(
        info: EncoderInfo,
        config: EncodingConfig,
        observer: Box<dyn Observer>,
    ) -> Arc<Self> {
        let queue = EncodeQueue::new(config);
        let state = State { queue, stop: None, observer, num_batches: 0, num_tokens: 0 };
        Arc::new(Self {
            info,
            retry_after_s: config.retry_after_s,
            alive: AtomicBool::new(true),
            work: Condvar::new(),
            state: Mutex::new(state),
        })
    }

    /// The queue is right after every call: a panic elsewhere while it was locked spoils nothing.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until there may be work.
    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.work.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes nobody in any more; who waits or runs ends as `how` says.
    pub(super) fn shutdown(&self, how: Shutdown) {
        let mut state = self.lock();
        state.stop = state.stop.filter(|stop| *stop == Shutdown::Abort).or(Some(how));
        let aborted = match how {
            Shutdown::Abort => state.queue.clear(),
            Shutdown::Drain => Vec::new(),
        };
        let ends = state.fail(aborted, &RequestError::ShuttingDown);
        drop(state);
        self.work.notify_all();
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

impl State {
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
            self.observer.queued(job.with.submitted.elapsed());
        }
    }
}

fn usage(job: &Job<Waiting>) -> Usage {
    let prompt_tokens = u32::try_from(job.num_tokens).unwrap_or(u32::MAX);
    Usage { prompt_tokens, ..Usage::default() }
}

/// Ends the driver when the last handle is gone and all that was submitted is done.
struct Door(Arc<Shared>);

impl Drop for Door {
    fn drop(&mut self) {
        self.0.shutdown(Shutdown::Drain);
    }
}

/// Submits texts to one encoder; cheap to clone.
#[derive(Clone)]
pub struct EncoderHandle(Arc<Door>);

impl EncoderHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(Arc::new(Door(shared)))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }

    /// What the encoder is.
    pub fn info(&self) -> &EncoderInfo {
        &self.shared().info
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
        let shared = self.shared();
        for (index, input) in inputs.iter().enumerate() {
            check(input, &shared.info)
                .map_err(|problem| EncodeRefusal::Invalid { index, problem })?;
        }
        let (sender, answer) = oneshot::channel();
        let mut state = shared.lock();
        if state.stop.is_some() || !shared.alive.load(Ordering::Acquire) {
            return Err(EncodeRefusal::ShuttingDown);
        }
        if inputs.is_empty() {
            let _ = sender.send(Ok(Vec::new()));
            return Ok(Rows { request: None, answer });
        }
        let with = Waiting { sender, submitted: Instant::now() };
        let entered = state.queue.enter(tenant, inputs, with);
        drop(state);
        let id = entered.map_err(|waiting| EncodeRefusal::QueueFull {
            waiting,
            retry_after_s: shared.retry_after_s,
        })?;
        shared.work.notify_one();
        Ok(Rows { request: Some((id, Arc::clone(shared))), answer })
    }

    /// Counts by now: a batch is a step, and its tokens are a prompt's.
    pub fn stats(&self) -> Stats {
        let state = self.shared().lock();
        let (running, waiting) = state.queue.num_jobs();
        let (prompt_tokens, steps) = (state.num_tokens, state.num_batches);
        Stats { running, waiting, prompt_tokens, steps, ..Stats::default() }
    }

    /// Whether the driver's thread runs: false after a shutdown came to its end, or if the driver
    /// itself failed (a failing encoder does not end it).
    pub fn is_alive(&self) -> bool {
        self.shared().alive.load(Ordering::Acquire)
    }

    /// Stops the driver: nothing is taken from now on, and its thread ends when what is left has
    /// ended as `how` says.
    pub fn shutdown(&self, how: Shutdown) {
        self.shared().shutdown(how);
    }
}

/// The rows of a request to come, in the order of its inputs.
pub struct Rows {
    /// Until it ends.
    request: Option<(JobId, Arc<Shared>)>,
    answer: oneshot::Receiver<Answer>,
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
        let Some((id, shared)) = self.request.take() else { return };
        let mut state = shared.lock();
        // Not there: it ended, and nobody looked.
        let Some(job) = state.queue.remove(id) else { return };
        let took = job.with.submitted.elapsed();
        let end = RequestEnd { took, outcome: Outcome::Cancelled, usage: Some(usage(&job)) };
        state.observer.request_ended(end);
    }
}
