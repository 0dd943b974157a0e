//! The way in: submits recordings to a model's driver from any task, and hears what is said.
//!
//! Invariant: a submission never waits for a window. Dropping a [`SpeechStream`] before its end
//! takes the request out at once, and what is computed of it stops at the next token.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use engine_core::{RequestError, SpeechInfo, SpeechInput, SpeechStep, TenantId, Usage};
use tokio::sync::mpsc;

use super::config::{SpeechConfig, SpeechRefusal};
use super::queue::{Job, JobId, SpeechQueue};
use crate::{Observer, Outcome, RequestEnd, Shutdown, Stats};

type Answer = Result<SpeechStep, RequestError>;

/// What goes with a request through the queue.
pub(super) struct Waiting {
    /// Until its first turn.
    pub(super) input: Option<SpeechInput>,
    /// As many steps as the recording has windows go through it, each of a few tokens.
    sender: mpsc::UnboundedSender<Answer>,
    pub(super) stop: Arc<AtomicBool>,
    submitted: Instant,
    num_tokens: usize,
}

/// What handles, streams and their driver share.
pub(super) struct Shared {
    info: SpeechInfo,
    retry_after_s: u32,
    /// Whether the driver's thread has not ended.
    pub(super) alive: AtomicBool,
    work: Condvar,
    state: Mutex<State>,
}

/// What is changed under the lock, which nobody holds while the model computes.
pub(super) struct State {
    pub(super) queue: SpeechQueue<Waiting>,
    pub(super) stop: Option<Shutdown>,
    pub(super) observer: Box<dyn Observer>,
    pub(super) num_steps: u64,
    num_tokens: u64,
}

impl Shared {
    pub(super) fn new(
        info: SpeechInfo,
        config: SpeechConfig,
        observer: Box<dyn Observer>,
    ) -> Arc<Self> {
        let queue = SpeechQueue::new(config);
        let state = State { queue, stop: None, observer, num_steps: 0, num_tokens: 0 };
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
        if how == Shutdown::Abort {
            for job in state.queue.clear() {
                state.fail(job, RequestError::ShuttingDown);
            }
        }
        drop(state);
        self.work.notify_all();
    }
}

impl State {
    /// A request's first window is computed.
    pub(super) fn begins(&mut self, id: JobId) -> Option<SpeechInput> {
        let job = self.queue.get_mut(id)?;
        let input = job.with.input.take()?;
        job.has_begun = true;
        let waited = job.with.submitted.elapsed();
        self.observer.queued(waited);
        Some(input)
    }

    /// Hands a step to its request; who has all of them by that, is out. Counts first, then tells:
    /// who hears the end of a request sees it gone from the counts.
    pub(super) fn give(&mut self, id: JobId, step: SpeechStep) {
        let num_tokens = step.segments.iter().map(|segment| segment.tokens.len()).sum::<usize>();
        self.num_tokens += num_tokens as u64;
        // Who went away meanwhile gets nothing.
        let Some(job) = self.queue.get_mut(id) else { return };
        job.with.num_tokens += num_tokens;
        if !step.is_last {
            let _ = job.with.sender.send(Ok(step));
            return;
        }
        let Some(job) = self.queue.remove(id) else { return };
        self.ended(&job, Outcome::Finished);
        let _ = job.with.sender.send(Ok(step));
    }

    /// Ends a request that left the queue with an error.
    pub(super) fn fail(&mut self, job: Job<Waiting>, error: RequestError) {
        job.with.stop.store(true, Ordering::Relaxed);
        self.ended(&job, Outcome::Failed);
        // Who does not listen any more has no use for it.
        let _ = job.with.sender.send(Err(error));
    }

    fn ended(&mut self, job: &Job<Waiting>, outcome: Outcome) {
        let completion_tokens = u32::try_from(job.with.num_tokens).unwrap_or(u32::MAX);
        let usage = Usage { completion_tokens, ..Usage::default() };
        let usage = (outcome != Outcome::Failed).then_some(usage);
        let took = job.with.submitted.elapsed();
        self.observer.request_ended(RequestEnd { took, outcome, usage });
    }
}

/// Ends the driver when the last handle is gone and all that was submitted is done.
struct Door(Arc<Shared>);

impl Drop for Door {
    fn drop(&mut self) {
        self.0.shutdown(Shutdown::Drain);
    }
}

/// Submits recordings to one model; cheap to clone.
#[derive(Clone)]
pub struct SpeechHandle(Arc<Door>);

impl SpeechHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(Arc::new(Door(shared)))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }

    /// What the model is.
    pub fn info(&self) -> &SpeechInfo {
        &self.shared().info
    }

    /// Queues a recording.
    ///
    /// # Errors
    /// At once: the queue is full, or the driver is stopping.
    pub fn submit(
        &self,
        tenant: &TenantId,
        input: SpeechInput,
    ) -> Result<SpeechStream, SpeechRefusal> {
        let shared = self.shared();
        let (sender, receiver) = mpsc::unbounded_channel();
        let stop = Arc::new(AtomicBool::new(false));
        let mut state = shared.lock();
        if state.stop.is_some() || !shared.alive.load(Ordering::Acquire) {
            return Err(SpeechRefusal::ShuttingDown);
        }
        let num_samples = input.samples.len();
        let with = Waiting {
            input: Some(input),
            sender,
            stop: Arc::clone(&stop),
            submitted: Instant::now(),
            num_tokens: 0,
        };
        let entered = state.queue.enter(tenant, num_samples, with);
        drop(state);
        let id = entered.map_err(|waiting| SpeechRefusal::QueueFull {
            waiting,
            retry_after_s: shared.retry_after_s,
        })?;
        shared.work.notify_one();
        Ok(SpeechStream { request: Some((id, Arc::clone(shared))), stop, receiver })
    }

    /// Counts by now: a window is a step.
    pub fn stats(&self) -> Stats {
        let state = self.shared().lock();
        let (running, waiting) = state.queue.num_jobs();
        let (generated_tokens, steps) = (state.num_tokens, state.num_steps);
        Stats { running, waiting, generated_tokens, steps, ..Stats::default() }
    }

    /// Whether the driver's thread runs: false after a shutdown came to its end, or if the driver
    /// itself failed (a failing model does not end it).
    pub fn is_alive(&self) -> bool {
        self.shared().alive.load(Ordering::Acquire)
    }

    /// Stops the driver: nothing is taken from now on, and its thread ends when what is left has
    /// ended as `how` says.
    pub fn shutdown(&self, how: Shutdown) {
        self.shared().shutdown(how);
    }
}

/// What is said in a recording, step by step.
pub struct SpeechStream {
    /// Until it ends.
    request: Option<(JobId, Arc<Shared>)>,
    stop: Arc<AtomicBool>,
    receiver: mpsc::UnboundedReceiver<Answer>,
}

impl SpeechStream {
    /// The next step; after the last one, or an error, there is none.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        if self.request.is_none() {
            return Poll::Ready(None);
        }
        let answer = match self.receiver.poll_recv(cx) {
            Poll::Pending => return Poll::Pending,
            // A driver that ended without a word was shut down as this request came in.
            Poll::Ready(answer) => answer.unwrap_or(Err(RequestError::ShuttingDown)),
        };
        if answer.as_ref().map_or(true, |step| step.is_last) {
            self.request = None;
        }
        Poll::Ready(Some(answer))
    }

    /// The same, to wait for.
    pub async fn next(&mut self) -> Option<Answer> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl Drop for SpeechStream {
    fn drop(&mut self) {
        let Some((id, shared)) = self.request.take() else { return };
        self.stop.store(true, Ordering::Relaxed);
        let mut state = shared.lock();
        // Not there: it ended, and nobody looked.
        let Some(job) = state.queue.remove(id) else { return };
        state.ended(&job, Outcome::Cancelled);
    }
}
