//! Where handles and the driver of one model meet that computes no steps of sequences: encoders and
//! transcribers.
//!
//! Invariant: nobody holds the lock while the model computes; who is refused by [`Desk::enter`]
//! came after a shutdown, or after the driver's thread ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::Shutdown;

/// A queue of requests, and all that is counted with it.
pub(crate) trait Queue {
    /// Ends that are counted, and not yet told.
    type Ends: Default;

    /// Takes all requests out, because the model stops.
    fn abort(&mut self) -> Self::Ends;

    /// Outside of the lock: it wakes who waits, who may want it.
    fn tell(ends: Self::Ends);
}

/// What handles and the driver share.
pub(crate) struct Desk<Q> {
    /// Whether the driver's thread has not ended.
    alive: AtomicBool,
    bell: Condvar,
    state: Mutex<State<Q>>,
}

/// What is changed under the lock.
pub(crate) struct State<Q> {
    pub(crate) work: Q,
    pub(crate) stop: Option<Shutdown>,
}

impl<Q: Queue> Desk<Q> {
    pub(crate) fn new(work: Q) -> Self {
        let state = Mutex::new(State { work, stop: None });
        Self { alive: AtomicBool::new(true), bell: Condvar::new(), state }
    }

    /// It is right after every call: a panic elsewhere while it was locked spoils nothing.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State<Q>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same to put a request into it, if any are taken; [`ring`](Self::ring) tells the driver.
    pub(crate) fn enter(&self) -> Option<MutexGuard<'_, State<Q>>> {
        let state = self.lock();
        (state.stop.is_none() && self.is_alive()).then_some(state)
    }

    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Until there may be work.
    pub(crate) fn wait<'a>(&self, state: MutexGuard<'a, State<Q>>) -> MutexGuard<'a, State<Q>> {
        self.bell.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// Takes nobody in any more; who waits or runs ends as `how` says.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        let mut state = self.lock();
        state.stop = state.stop.filter(|stop| *stop == Shutdown::Abort).or(Some(how));
        let ends = match how {
            Shutdown::Abort => state.work.abort(),
            Shutdown::Drain => Q::Ends::default(),
        };
        drop(state);
        self.bell.notify_all();
        Q::tell(ends);
    }

    /// The driver's thread ends, also by a panic: nobody comes in any more, and nobody waits.
    pub(crate) fn leave(&self) {
        self.alive.store(false, Ordering::Release);
        self.shutdown(Shutdown::Abort);
    }
}

/// Held by all handles together: ends the driver when the last one is gone and all that was
/// submitted is done.
pub(crate) struct Door<Q: Queue>(pub(crate) Arc<Desk<Q>>);

impl<Q: Queue> Drop for Door<Q> {
    fn drop(&mut self) {
        self.0.shutdown(Shutdown::Drain);
    }
}
