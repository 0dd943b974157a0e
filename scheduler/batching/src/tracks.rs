//! The driver's side of each stream: where its events go, and when they came.
//!
//! Invariant: a request has a track from submission to its last event, and leaves the gate once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::{Event, InvalidRequest, Request, RequestId, TenantId};
use tokio::sync::mpsc::UnboundedSender;

use crate::handle::Shared;
use crate::observer::{Observer, Outcome, RequestEnd, StepSize};
use crate::stream::{Events, Start};

struct Track {
    sender: UnboundedSender<Events>,
    start: Start,
    tenant: TenantId,
    submitted: Instant,
    /// When each choice's latest token came.
    last_tokens: Vec<Option<Instant>>,
    had_token: bool,
    is_waiting: bool,
    is_cancelled: bool,
}

/// All requests of one driver.
pub(crate) struct Tracks {
    tracks: HashMap<RequestId, Track>,
    observer: Box<dyn Observer>,
    shared: Arc<Shared>,
}

impl Tracks {
    pub(crate) fn new(observer: Box<dyn Observer>, shared: Arc<Shared>) -> Self {
        Self { tracks: HashMap::new(), observer, shared }
    }

    /// Begins to follow a request that entered the gate; false if its id is taken.
    pub(crate) fn begin(
        &mut self,
        request: &Request,
        (sender, start): (UnboundedSender<Events>, Start),
    ) -> bool {
        let tenant = request.scope.tenant.clone();
        let Entry::Vacant(entry) = self.tracks.entry(request.id) else {
            self.shared.gate.leave(&tenant);
            let error = InvalidRequest::Parameter("the request id is in use");
            let _ = sender.send(Events::One(Event::Failed(error.into())));
            return false;
        };
        entry.insert(Track {
            sender,
            start,
            tenant,
            submitted: Instant::now(),
            last_tokens: vec![None; request.n as usize],
            had_token: false,
            is_waiting: true,
            is_cancelled: false,
        });
        true
    }

    /// The planner did not take the request.
    pub(crate) fn refuse(&mut self, id: RequestId, error: InvalidRequest) {
        self.deliver([(id, Event::Failed(error.into()))].into_iter());
    }

    /// The stream of this request was dropped.
    pub(crate) fn cancel(&mut self, id: RequestId) {
        if let Some(track) = self.tracks.get_mut(&id) {
            track.is_cancelled = true;
        }
    }

    /// These are computed from now on, with so many tokens of the prompt from the cache.
    pub(crate) fn admitted(&mut self, all: impl Iterator<Item = (RequestId, u32)>) {
        for (id, num_cached) in all {
            let Some(track) = self.tracks.get_mut(&id) else { continue };
            track.start.set(num_cached);
            if std::mem::take(&mut track.is_waiting) {
                self.shared.gate.leave(&track.tenant);
                self.observer.queued(track.submitted.elapsed());
            }
        }
    }

    pub(crate) fn step(&mut self, took: Duration, size: StepSize) {
        self.observer.step(took, size);
    }

    /// Hands events on; those of one request that follow each other go together.
    pub(crate) fn deliver(&mut self, events: impl Iterator<Item = (RequestId, Event)>) {
        let now = Instant::now();
        let mut gathered: Option<(RequestId, Events)> = None;
        for (id, event) in events {
            gathered = match gathered.take() {
                Some((same, events)) if same == id => Some((id, events.and(event))),
                other => {
                    self.send(other, now);
                    Some((id, Events::One(event)))
                }
            };
        }
        self.send(gathered, now);
    }

    fn send(&mut self, gathered: Option<(RequestId, Events)>, now: Instant) {
        let Some((id, events)) = gathered else { return };
        let Some(track) = self.tracks.get_mut(&id) else { return };
        let all = match &events {
            Events::One(event) => std::slice::from_ref(event),
            Events::Several(events) => events,
        };
        // The gate and the observer first: who hears the end sees it counted.
        let mut has_ended = false;
        for event in all {
            let usage = match event {
                Event::Token { index, .. } => {
                    track.token(*index, now, &mut *self.observer);
                    continue;
                }
                Event::PromptLogprobs(_) | Event::ChoiceFinished { .. } => continue,
                Event::Finished(usage) => Some(*usage),
                Event::Failed(_) => None,
            };
            let outcome = match (track.is_cancelled, usage) {
                (true, _) => Outcome::Cancelled,
                (false, Some(_)) => Outcome::Finished,
                (false, None) => Outcome::Failed,
            };
            let took = now.duration_since(track.submitted);
            if track.is_waiting {
                self.shared.gate.leave(&track.tenant);
            }
            self.observer.request_ended(RequestEnd { took, outcome, usage });
            has_ended = true;
        }
        // Nobody listens any more if the stream was dropped; its cancel is on the way.
        let _ = track.sender.send(events);
        if has_ended {
            self.tracks.remove(&id);
        }
    }
}

impl Track {
    fn token(&mut self, index: u32, now: Instant, observer: &mut dyn Observer) {
        if !std::mem::replace(&mut self.had_token, true) {
            observer.first_token(now.duration_since(self.submitted));
        }
        let Some(last) = self.last_tokens.get_mut(index as usize) else { return };
        if let Some(last) = last.replace(now) {
            observer.inter_token(now.duration_since(last));
        }
    }
}
