//! Responses that are worked on after their request was answered.
//!
//! Invariant: of each tenant a bounded number runs, and each project finds its own; a place is free
//! again whenever its work ends, is cut off or panics. Who follows one that is cancelled or deleted
//! is told so last. What is known of the events of those that ended is bounded, too.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use futures_util::stream::{Stream, unfold};
use serde_json::Value;
use server_metering::ProjectPath;
use tokio::sync::{Notify, watch};

use super::keep::Keeper;
use super::wire::ResponsesWire;
use crate::generation::{Generation, Output};
use crate::wire::{Wire, write_event};
use crate::{ApiError, HttpLimits};

/// Bytes of events that are kept of one response to be streamed again.
const MAX_LOG_BYTES: usize = 4 << 20;
/// How long they are kept once it has ended, and of how many.
const KEPT: Duration = Duration::from_secs(300);
const MAX_ENDED: usize = 32;

/// Whose, and the response's id.
type Key = (ProjectPath, String);

/// All that run, and some that ended.
#[derive(Clone)]
pub(crate) struct Background {
    max_per_tenant: usize,
    jobs: Arc<Mutex<HashMap<Key, Job>>>,
}

struct Job {
    events: Arc<Events>,
    /// Tells the work to end.
    stop: Arc<Notify>,
    ended: Option<Instant>,
}

impl Background {
    pub(crate) fn new(limits: &HttpLimits) -> Self {
        Self { max_per_tenant: limits.max_background, jobs: Arc::default() }
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<Key, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a response, if its organization has one left.
    pub(super) fn reserve(&self, whose: ProjectPath, id: &str) -> Result<Place, ApiError> {
        let mut jobs = self.jobs();
        forget(&mut jobs);
        let is_own = |key: &Key| key.0.organization == whose.organization;
        let runs = |(key, job): &(&Key, &Job)| is_own(key) && job.ended.is_none();
        if jobs.iter().filter(runs).count() >= self.max_per_tenant {
            let message = format!(
                "{} responses run in the background, which is the limit. Retry when one is done.",
                self.max_per_tenant
            );
            let status = StatusCode::TOO_MANY_REQUESTS;
            return Err(ApiError::refused(status, "too_many_in_background", message));
        }
        let (key, events) = ((whose, id.to_owned()), Arc::<Events>::default());
        let stop = Arc::<Notify>::default();
        let job = Job { events: Arc::clone(&events), stop: Arc::clone(&stop), ended: None };
        jobs.insert(key.clone(), job);
        Ok(Place { background: self.clone(), key, events, stop })
    }

    /// Ends the work on a response, if there is any, when the store says so already.
    pub(super) fn stop(&self, whose: &ProjectPath, id: &str) {
        if let Some(job) = self.jobs().get(&(whose.clone(), id.to_owned())) {
            job.stop.notify_one();
        }
    }

    /// The events of a response, if they are known.
    pub(super) fn events(&self, whose: &ProjectPath, id: &str) -> Option<Arc<Events>> {
        let key = (whose.clone(), id.to_owned());
        let events = self.jobs().get(&key).map(|job| Arc::clone(&job.events))?;
        let is_lost = events.progress.borrow().is_lost;
        (!is_lost).then_some(events)
    }
}

/// Drops what ended long ago, and the oldest where there are too many.
fn forget(jobs: &mut HashMap<Key, Job>) {
    jobs.retain(|_, job| job.ended.is_none_or(|ended| ended.elapsed() < KEPT));
    while jobs.values().filter(|job| job.ended.is_some()).count() > MAX_ENDED {
        let ended = jobs.iter().filter_map(|(key, job)| Some((job.ended?, key)));
        let Some(oldest) = ended.min_by_key(|(ended, _)| *ended).map(|(_, key)| key.clone()) else {
            return;
        };
        jobs.remove(&oldest);
    }
}

/// The place of one response.
pub(super) struct Place {
    background: Background,
    key: Key,
    pub(super) events: Arc<Events>,
    stop: Arc<Notify>,
}

impl Place {
    /// Works on the response from now on.
    pub(super) fn run(self, generation: Generation, wire: ResponsesWire, keeper: Keeper) {
        tokio::spawn(work(self, generation, wire, keeper));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.events.progress.send_modify(|progress| progress.is_done = true);
        if let Some(job) = self.background.jobs().get_mut(&self.key) {
            job.ended = Some(Instant::now());
        }
    }
}

async fn work(place: Place, mut generation: Generation, mut wire: ResponsesWire, keeper: Keeper) {
    let (whose, id) = (&place.key.0, &place.key.1);
    let events = &place.events;
    let mut has_begun = false;
    generation.stream();
    loop {
        let output = tokio::select! {
            () = place.stop.notified() => {
                generation.cancel().await;
                return events.push(&[wire.cancelled(0)]);
            }
            output = generation.next() => output,
        };
        let Some(output) = output else { break };
        if !std::mem::replace(&mut has_begun, true) {
            match keeper.store.set_status(whose, id, "in_progress").await {
                // It was cancelled or deleted.
                Ok(false) => {
                    generation.cancel().await;
                    return events.push(&[wire.cancelled(0)]);
                }
                Ok(true) => {}
                Err(error) => tracing::warn!(%error, "a response's status was not kept"),
            }
            events.push(&[wire.in_progress()]);
        }
        match output {
            Ok(output) => {
                let is_last = matches!(output, Output::Usage(_));
                let chunks = wire.chunks(output);
                if is_last {
                    end(&mut wire, &keeper, events, chunks).await;
                } else {
                    events.push(&chunks);
                }
            }
            Err(error) if error.is_cancel() => {
                // As its own route does it: it was cancelled by its id, or by that of its request.
                if let Err(error) = keeper.store.set_status(whose, id, "cancelled").await {
                    tracing::error!(%error, "a response's cancel was not kept");
                }
                events.push(&[wire.cancelled(0)]);
                break;
            }
            Err(error) => {
                let failed = wire.error(&error);
                end(&mut wire, &keeper, events, vec![failed]).await;
            }
        }
    }
    generation.log_end();
}

/// Keeps what became of a response, and tells it; or that it was not kept.
async fn end(wire: &mut ResponsesWire, keeper: &Keeper, events: &Events, last: Vec<Value>) {
    match keeper.keep(wire.response()).await {
        Ok(true) => events.push(&last),
        Ok(false) => events.push(&[wire.cancelled(last.len())]),
        Err(error) => {
            let failed = wire.error(&error);
            // It may have been too large: what is said of that is not.
            wire.clear_output();
            if let Err(error) = keeper.keep(wire.response()).await {
                tracing::error!(%error, "a response was not kept");
            }
            events.push(&[failed]);
        }
    }
}

/// The events of one response, as they go out.
#[derive(Default)]
pub(super) struct Events {
    texts: Mutex<Vec<Vec<u8>>>,
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    num_bytes: usize,
    is_done: bool,
    /// There were too many to keep.
    is_lost: bool,
}

impl Events {
    pub(super) fn push(&self, events: &[Value]) {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        self.progress.send_modify(|progress| {
            for event in events {
                let mut text = Vec::new();
                write_event(&mut text, event["type"].as_str(), event);
                progress.num_bytes += text.len();
                texts.push(text);
            }
            if progress.num_bytes > MAX_LOG_BYTES {
                progress.is_lost = true;
                texts.clear();
            }
        });
    }

    /// All events after the first `start`, also those to come; comments fill silence.
    pub(super) fn follow(
        self: Arc<Self>,
        start: usize,
        keep_alive: Duration,
    ) -> impl Stream<Item = Result<Vec<u8>, Infallible>> + Send {
        let progress = self.progress.subscribe();
        unfold((self, start, progress), move |(events, next, mut progress)| async move {
            loop {
                // Before the texts: what is done adds no more.
                let Progress { is_done, is_lost, .. } = *progress.borrow_and_update();
                let (text, num) = events.after(next);
                if num > 0 {
                    return Some((Ok(text), (events, next + num, progress)));
                }
                if is_done || is_lost {
                    return None;
                }
                let silence = tokio::time::timeout(keep_alive, progress.changed()).await;
                if silence.is_err() {
                    return Some((Ok(b":\n\n".to_vec()), (events, next, progress)));
                }
            }
        })
    }

    fn after(&self, start: usize) -> (Vec<u8>, usize) {
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let new = texts.get(start..).unwrap_or_default();
        (new.concat(), new.len())
    }
}
