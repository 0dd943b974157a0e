//! The way in: submits recordings to a model's driver from any task, and hears what is said.
//!
//! Invariant: a submission never waits for a window. Dropping a [`SpeechStream`] before its end
//! takes the request out at once, and what is computed of it stops at the next token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use engine_core::{RequestError, SpeechInfo, SpeechInput, SpeechStep, TenantId, Usage};
use tokio::sync::mpsc;

use super::config::{SpeechConfig, SpeechRefusal};
use super::queue::{Job, JobId, SpeechQueue};
use crate::began::Began;
use crate::desk::{Desk, Door, Queue};
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
    began: Began,
    num_tokens: usize,
}

/// Requests, and what is counted of them.
pub(super) struct Work {
    pub(super) queue: SpeechQueue<Waiting>,
    pub(super) observer: Box<dyn Observer>,
    pub(super) num_steps: u64,
    num_tokens: u64,
}

impl Queue for Work {
    /// Told under the lock: a channel of steps wakes a task, and waits for nobody.
    type Ends = ();

    fn abort(&mut self) {
        for job in self.queue.clear() {
            self.fail(job, RequestError::ShuttingDown);
        }
    }

    fn tell((): ()) {}
}

impl Work {
    pub(super) fn new(config: SpeechConfig, observer: Box<dyn Observer>) -> Self {
        Self { queue: SpeechQueue::new(config), observer, num_steps: 0, num_tokens: 0 }
    }

    /// A request's first window is computed.
    pub(super) fn begins(&mut self, id: JobId) -> Option<SpeechInput> {
        let job = self.queue.get_mut(id)?;
        let input = job.with.input.take()?;
        job.has_begun = true;
        job.with.began.set();
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

/// Submits recordings to one model; cheap to clone.
#[derive(Clone)]
pub struct SpeechHandle {
    info: Arc<SpeechInfo>,
    retry_after_s: u32,
    door: Arc<Door<Work>>,
}

impl SpeechHandle {
    pub(super) fn new(info: SpeechInfo, retry_after_s: u32, desk: Arc<Desk<Work>>) -> Self {
        Self { info: Arc::new(info), retry_after_s, door: Arc::new(Door(desk)) }
    }

    fn desk(&self) -> &Arc<Desk<Work>> {
        &self.door.0
    }

    /// What the model is.
    pub fn info(&self) -> &SpeechInfo {
        &self.info
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
        let (sender, receiver) = mpsc::unbounded_channel();
        let (stop, began) = (Arc::new(AtomicBool::new(false)), Began::default());
        let desk = self.desk();
        let mut state = desk.enter().ok_or(SpeechRefusal::ShuttingDown)?;
        let num_samples = input.samples.len();
        let with = Waiting {
            input: Some(input),
            sender,
            stop: Arc::clone(&stop),
            submitted: Instant::now(),
            began: began.clone(),
            num_tokens: 0,
        };
        let entered = state.work.queue.enter(tenant, num_samples, with);
        drop(state);
        let id = entered.map_err(|waiting| SpeechRefusal::QueueFull {
            waiting,
            retry_after_s: self.retry_after_s,
        })?;
        desk.ring();
        Ok(SpeechStream { request: Some((id, Arc::clone(desk))), stop, receiver, began })
    }

    /// Counts by now: a window is a step.
    pub fn stats(&self) -> Stats {
        let work = &self.desk().lock().work;
        let (running, waiting) = work.queue.num_jobs();
        let (generated_tokens, steps) = (work.num_tokens, work.num_steps);
        Stats { running, waiting, generated_tokens, steps, ..Stats::default() }
    }

    /// Whether the driver's thread runs: false after a shutdown came to its end, or if the driver
    /// itself failed (a failing model does not end it).
    pub fn is_alive(&self) -> bool {
        self.desk().is_alive()
    }

    /// Stops the driver: nothing is taken from now on, and its thread ends when what is left has
    /// ended as `how` says.
    pub fn shutdown(&self, how: Shutdown) {
        self.desk().shutdown(how);
    }
}

/// What is said in a recording, step by step.
pub struct SpeechStream {
    /// Until it ends.
    request: Option<(JobId, Arc<Desk<Work>>)>,
    stop: Arc<AtomicBool>,
    receiver: mpsc::UnboundedReceiver<Answer>,
    began: Began,
}

impl SpeechStream {
    /// When the first window was computed; `None` until then.
    pub fn began(&self) -> Option<Instant> {
        self.began.get()
    }

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
        let Some((id, desk)) = self.request.take() else { return };
        self.stop.store(true, Ordering::Relaxed);
        let work = &mut desk.lock().work;
        // Not there: it ended, and nobody looked.
        let Some(job) = work.queue.remove(id) else { return };
        work.ended(&job, Outcome::Cancelled);
    }
}
