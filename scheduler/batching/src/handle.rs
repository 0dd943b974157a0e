//! The way in: submits requests to a driver from any thread.
//!
//! Invariant: a submission never waits for a step.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use engine_core::{EngineLimits, Request, RequestId};
use tokio::sync::mpsc::UnboundedSender;

use crate::gate::Gate;
use crate::planner::check;
use crate::stream::{Events, Start};
use crate::{EventStream, PlannerConfig, Stats, SubmitError};

/// What a driver is told.
pub(crate) enum Command {
    /// Entered the gate; events go to the sender, and beside it when it is first computed.
    Submit(Box<Request>, (UnboundedSender<Events>, Start)),
    Cancel(RequestId),
    CancelChoice(RequestId, u32),
    Shutdown(Shutdown),
}

/// How to stop a driver. Either way no new request is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Requests that are queued or run come to their end.
    Drain,
    /// They fail with [`RequestError::ShuttingDown`](engine_core::RequestError::ShuttingDown)
    /// after the step in progress.
    Abort,
}

/// What handles and their driver share.
pub(crate) struct Shared {
    pub(crate) limits: EngineLimits,
    pub(crate) config: PlannerConfig,
    pub(crate) gate: Gate,
    pub(crate) stats: Mutex<Stats>,
    /// Whether the driver's thread has not ended.
    pub(crate) alive: AtomicBool,
    next_request: AtomicU64,
}

impl Shared {
    pub(crate) fn new(limits: EngineLimits, config: PlannerConfig, stats: Stats) -> Self {
        let gate = Gate::new(&config);
        let (stats, alive) = (Mutex::new(stats), AtomicBool::new(true));
        Self { limits, config, gate, stats, alive, next_request: AtomicU64::new(0) }
    }
}

/// Submits requests to one driver; cheap to clone. When all handles and streams are gone, the
/// driver ends.
#[derive(Clone)]
pub struct Handle {
    pub(crate) commands: Sender<Command>,
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// An id that no other request of this driver has.
    pub fn next_request_id(&self) -> RequestId {
        RequestId(self.shared.next_request.fetch_add(1, Ordering::Relaxed))
    }

    /// Queues a request, whose id must come from [`next_request_id`](Self::next_request_id).
    ///
    /// # Errors
    /// At once: it can never run, the queue is full, or the driver is stopping.
    pub fn submit(&self, request: Request) -> Result<EventStream, SubmitError> {
        let Shared { limits, config, gate, .. } = &*self.shared;
        check(&request, limits, config)?;
        gate.enter(&request.scope.tenant)?;
        // Bounded by what a request can emit; see `EventStream`.
        let (sender, events) = tokio::sync::mpsc::unbounded_channel();
        let start = Start::default();
        let received = (events, start.clone());
        let stream = EventStream::new(request.id, request.n, received, self.commands.clone());
        match self.commands.send(Command::Submit(Box::new(request), (sender, start))) {
            Ok(()) => Ok(stream),
            Err(_) => Err(SubmitError::ShuttingDown),
        }
    }

    /// Counts after the latest step.
    pub fn stats(&self) -> Stats {
        let stats = *self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner);
        Stats { waiting: self.shared.gate.num_waiting(), ..stats }
    }

    /// Whether the driver's thread runs: false after a shutdown came to its end, or if the
    /// driver itself failed (a failing engine does not end it).
    pub fn is_alive(&self) -> bool {
        self.shared.alive.load(Ordering::Acquire)
    }

    /// What the engine can hold.
    pub fn limits(&self) -> EngineLimits {
        self.shared.limits
    }

    /// Stops the driver: nothing is taken from now on, and its thread ends when what is left has
    /// ended as `how` says. [`Driver::join`](crate::Driver::join) waits for that.
    pub fn shutdown(&self, how: Shutdown) {
        self.shared.gate.close();
        // If nobody receives, the driver has ended already.
        let _ = self.commands.send(Command::Shutdown(how));
    }
}
