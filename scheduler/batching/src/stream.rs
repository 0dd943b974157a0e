//! What a request's caller holds: its events in order.
//!
//! Invariant: exactly one last event (`Finished` or `Failed`), then nothing; dropping the stream
//! before it cancels the request within one step.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use engine_core::{Event, RequestError, RequestId};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::began::Began;
use crate::handle::Command;

/// Whether a request was ever computed, since when, and how much of its prompt was cached then. A
/// clone is the same.
#[derive(Clone)]
pub(crate) struct Start {
    num_cached: Arc<AtomicU32>,
    began: Began,
}

/// No prompt has so many tokens.
const NOT_YET: u32 = u32::MAX;

impl Default for Start {
    fn default() -> Self {
        Self { num_cached: Arc::new(AtomicU32::new(NOT_YET)), began: Began::default() }
    }
}

impl Start {
    /// It is computed from now on.
    pub(crate) fn set(&self, num_cached: u32) {
        self.began.set();
        self.num_cached.store(num_cached, Ordering::Release);
    }

    fn get(&self) -> Option<u32> {
        let num_cached = self.num_cached.load(Ordering::Acquire);
        Some(num_cached).filter(|num_cached| *num_cached != NOT_YET)
    }
}

/// What a step brings a request, in order. Its reader is woken once for all of it.
pub(crate) enum Events {
    One(Event),
    Several(Vec<Event>),
}

impl Events {
    /// With one more.
    pub(crate) fn and(self, event: Event) -> Self {
        match self {
            Self::One(first) => Self::Several(vec![first, event]),
            Self::Several(mut events) => {
                events.push(event);
                Self::Several(events)
            }
        }
    }
}

/// The events of one request.
///
/// The channel has no bound of its own, since the driver must not wait for a slow reader, but a
/// request makes at most `n * (max_tokens + 1) + 2` events: each choice its tokens and its end,
/// one `PromptLogprobs`, one last event. Each choice tells the driver to cancel at most once.
pub struct EventStream {
    id: RequestId,
    events: UnboundedReceiver<Events>,
    /// Received, and not yet told.
    ready: std::vec::IntoIter<Event>,
    commands: Sender<Command>,
    cancelled: Box<[AtomicBool]>,
    start: Start,
    ended: bool,
}

impl EventStream {
    pub(crate) fn new(
        id: RequestId,
        n: u32,
        (events, start): (UnboundedReceiver<Events>, Start),
        commands: Sender<Command>,
    ) -> Self {
        let cancelled = (0..n).map(|_| AtomicBool::new(false)).collect();
        let ready = Vec::new().into_iter();
        Self { id, events, ready, commands, cancelled, start, ended: false }
    }

    /// The request's id.
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// How many tokens of the prompt came from the prefix cache; `None` until the request is first
    /// computed. Known before its first event.
    pub fn num_cached(&self) -> Option<u32> {
        self.start.get()
    }

    /// When the request was first computed; `None` until then.
    pub fn began(&self) -> Option<Instant> {
        self.start.began.get()
    }

    /// The next event; `None` after the last. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Like [`next`](Self::next), for who waits for several streams at once.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(event) = self.ready.next() {
            return Poll::Ready(self.told(event));
        }
        let events = ready!(self.events.poll_recv(cx));
        Poll::Ready(self.received(events))
    }

    /// Like [`next`](Self::next), for threads outside an async runtime.
    pub fn blocking_next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        if let Some(event) = self.ready.next() {
            return self.told(event);
        }
        let events = self.events.blocking_recv();
        self.received(events)
    }

    /// A driver that ended without a last word was shut down as this request came in.
    fn received(&mut self, events: Option<Events>) -> Option<Event> {
        let event = match events {
            Some(Events::One(event)) => Some(event),
            Some(Events::Several(events)) => {
                self.ready = events.into_iter();
                self.ready.next()
            }
            None => None,
        };
        self.told(event.unwrap_or(Event::Failed(RequestError::ShuttingDown)))
    }

    fn told(&mut self, event: Event) -> Option<Event> {
        self.ended = matches!(event, Event::Finished(_) | Event::Failed(_));
        Some(event)
    }

    /// No more of this choice is wanted (a stop string matched). Tokens that come before the
    /// driver hears of it are still reported, then `ChoiceFinished` with reason `Cancelled`.
    pub fn cancel_choice(&self, index: u32) {
        let Some(cancelled) = self.cancelled.get(index as usize) else { return };
        if !cancelled.swap(true, Ordering::Relaxed) {
            let _ = self.commands.send(Command::CancelChoice(self.id, index));
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.commands.send(Command::Cancel(self.id));
        }
    }
}
