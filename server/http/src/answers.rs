//! Answers that are kept for requests that are sent again.
//!
//! Invariant: of one project's key at most one request runs, and who sends it meanwhile waits for
//! that one. Kept are answers in one piece that succeeded, in memory, bounded in number, bytes and
//! time; a stream or an error is not kept, so the next request with its key runs anew.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use server_metering::{OrganizationId, ProjectPath};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::{ApiError, HttpLimits};

/// What an answer takes beside its body, about.
const ENTRY_BYTES: usize = 1 << 10;

/// Whose, and the key.
pub(crate) type Place = (ProjectPath, String);
/// Of the route, the headers that say what is asked, and the body.
pub(crate) type Digest = blake3::Hash;

/// Answers that were given, and requests that will give one.
pub(crate) struct Answers {
    max: usize,
    max_bytes: usize,
    keep: Duration,
    /// The same for those who store nothing.
    keep_unstored: Duration,
    entries: Mutex<HashMap<Place, Entry>>,
}

struct Entry {
    digest: Digest,
    stage: Stage,
}

enum Stage {
    /// Its sender is dropped when the request has ended.
    Running(watch::Receiver<()>),
    Done {
        answer: Answer,
        at: Instant,
        until: Instant,
    },
}

impl Stage {
    fn is_over(&self, now: Instant) -> bool {
        matches!(self, Self::Done { until, .. } if *until <= now)
    }
}

#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    fn num_bytes(&self) -> usize {
        ENTRY_BYTES + self.body.len()
    }
}

/// What a request with a key does.
pub(crate) enum Turn {
    Replay(Answer),
    Wait(watch::Receiver<()>),
    Run(Running),
}

/// The one request of its key.
pub(crate) struct Running {
    answers: Arc<Answers>,
    place: Place,
    digest: Digest,
    _ended: watch::Sender<()>,
}

impl Answers {
    pub(crate) fn new(limits: &HttpLimits) -> Arc<Self> {
        Arc::new(Self {
            max: limits.max_kept_answers,
            max_bytes: limits.max_kept_answer_bytes,
            keep: limits.keep_answers,
            keep_unstored: limits.keep_unstored_answers.min(limits.keep_answers),
            entries: Mutex::default(),
        })
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Place, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request with this key does.
    pub(crate) fn turn(self: &Arc<Self>, place: &Place, digest: Digest) -> Result<Turn, ApiError> {
        let mut entries = self.entries();
        let now = Instant::now();
        let known = entries.get(place).filter(|entry| !entry.stage.is_over(now));
        if let Some(entry) = known {
            if entry.digest != digest {
                let message = "This Idempotency-Key was used for another request.";
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return Err(ApiError::refused(status, "idempotency_key_reused", message));
            }
            return Ok(match &entry.stage {
                Stage::Running(ended) => Turn::Wait(ended.clone()),
                Stage::Done { answer, .. } => Turn::Replay(answer.clone()),
            });
        }
        let (sender, ended) = watch::channel(());
        entries.insert(place.clone(), Entry { digest, stage: Stage::Running(ended) });
        let (answers, place) = (Arc::clone(self), place.clone());
        Ok(Turn::Run(Running { answers, place, digest, _ended: sender }))
    }

    /// Forgets what is over at a moment, whether anybody comes after it or not.
    fn forget_at(self: Arc<Self>, moment: Instant) {
        tokio::spawn(async move {
            tokio::time::sleep_until(moment).await;
            self.entries().retain(|_, entry| !entry.stage.is_over(moment));
        });
    }

    /// Makes room: first what is too old, then the oldest of whoever keeps most.
    fn make_room(&self, entries: &mut HashMap<Place, Entry>) {
        let now = Instant::now();
        entries.retain(|_, entry| !entry.stage.is_over(now));
        loop {
            let (mut num, mut num_bytes) = (0, 0);
            let mut tenants: BTreeMap<&OrganizationId, (usize, Instant, &Place)> = BTreeMap::new();
            for (place, entry) in &*entries {
                let Stage::Done { answer, at, .. } = &entry.stage else { continue };
                (num, num_bytes) = (num + 1, num_bytes + answer.num_bytes());
                let own = tenants.entry(&place.0.organization).or_insert((0, *at, place));
                own.0 += answer.num_bytes();
                if *at < own.1 {
                    (own.1, own.2) = (*at, place);
                }
            }
            if num <= self.max && num_bytes <= self.max_bytes {
                return;
            }
            let most = tenants.into_values().max_by_key(|(num_bytes, ..)| *num_bytes);
            let Some(oldest) = most.map(|(.., place)| place.clone()) else { return };
            entries.remove(&oldest);
        }
    }
}

impl Running {
    /// Keeps the answer, if it is one to keep; not for long if nothing is stored of its project.
    pub(crate) async fn finish(
        self,
        response: Response,
        is_stored: bool,
    ) -> Result<Response, ApiError> {
        let json = HeaderValue::from_static("application/json");
        let is_json = response.headers().get(header::CONTENT_TYPE) == Some(&json);
        let size = response.body().size_hint().exact().unwrap_or(u64::MAX);
        if !response.status().is_success() || !is_json || size > self.answers.max_bytes as u64 {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.map_err(|_| ApiError::internal())?;
        let answer = Answer { status: head.status, headers: head.headers.clone(), body };
        let response = Response::from_parts(head, Body::from(answer.body.clone()));
        let keep = if is_stored { self.answers.keep } else { self.answers.keep_unstored };
        let at = Instant::now();
        let stage = Stage::Done { answer, at, until: at + keep };
        let mut entries = self.answers.entries();
        entries.insert(self.place.clone(), Entry { digest: self.digest, stage });
        self.answers.make_room(&mut entries);
        drop(entries);
        if !is_stored {
            self.answers.clone().forget_at(at + keep);
        }
        Ok(response)
    }
}

impl Drop for Running {
    /// Without an answer to keep, whoever waits runs it anew.
    fn drop(&mut self) {
        let mut entries = self.answers.entries();
        if entries.get(&self.place).is_some_and(|e| matches!(e.stage, Stage::Running(_))) {
            entries.remove(&self.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use server_metering::ProjectId;

    use super::*;
    use crate::Caller;

    fn answers(max: usize, max_bytes: usize) -> Arc<Answers> {
        let limits = HttpLimits {
            max_kept_answers: max,
            max_kept_answer_bytes: max_bytes,
            keep_answers: Duration::from_secs(60),
            keep_unstored_answers: Duration::from_secs(10),
            ..HttpLimits::default()
        };
        Answers::new(&limits)
    }

    fn place(tenant: &str, key: &str) -> Place {
        (Caller::of_tenant(tenant, "k").unwrap().whose(), key.to_owned())
    }

    async fn answered(answers: &Arc<Answers>, place: &Place, body: &str) {
        let Ok(Turn::Run(running)) = answers.turn(place, blake3::hash(b"")) else {
            panic!("{place:?} is known");
        };
        let headers = [(header::CONTENT_TYPE, "application/json")];
        running.finish((headers, body.to_owned()).into_response(), true).await.unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
    }

    fn is_kept(answers: &Arc<Answers>, place: &Place) -> bool {
        matches!(answers.turn(place, blake3::hash(b"")), Ok(Turn::Replay(_)))
    }

    #[tokio::test(start_paused = true)]
    async fn room_is_made_where_most_is_kept_and_time_ends_it() {
        let answers = answers(3, 4 * ENTRY_BYTES);
        let large = "x".repeat(ENTRY_BYTES);
        answered(&answers, &place("b", "1"), "1").await;
        for key in ["1", "2", "3"] {
            answered(&answers, &place("a", key), &large).await;
        }
        assert!(!is_kept(&answers, &place("a", "1")) && !is_kept(&answers, &place("a", "2")));
        assert!(is_kept(&answers, &place("a", "3")) && is_kept(&answers, &place("b", "1")));
        for key in ["2", "3", "4"] {
            answered(&answers, &place("b", key), "").await;
        }
        // By number now; the tenants' bytes decide whose.
        assert!(!is_kept(&answers, &place("b", "1")));
        tokio::time::advance(Duration::from_secs(61)).await;
        answered(&answers, &place("b", "4"), "").await;
        assert_eq!(answers.entries().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_stored_is_forgotten_soon_though_nobody_comes() {
        let answers = answers(3, 1 << 20);
        answered(&answers, &place("a", "stored"), "1").await;
        let Ok(Turn::Run(running)) = answers.turn(&place("b", "1"), blake3::hash(b"")) else {
            panic!("it is known");
        };
        let headers = [(header::CONTENT_TYPE, "application/json")];
        running.finish((headers, "2").into_response(), false).await.unwrap();
        assert!(is_kept(&answers, &place("b", "1")));
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(answers.entries().len(), 1);
        assert!(is_kept(&answers, &place("a", "stored")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_another_one_in_another_project_but_room_is_made_by_organization() {
        let answers = answers(3, 1 << 20);
        let (own, mut other) = (place("a", "1"), place("a", "1"));
        other.0.project = ProjectId::new("other").unwrap();
        answered(&answers, &own, "own").await;
        assert!(answers.turn(&other, blake3::hash(b"x")).is_ok(), "it is refused for another's");
        answered(&answers, &other, "other").await;
        answered(&answers, &place("b", "1"), "of b").await;
        // Of two projects with an answer each and one of another organization, one of those two.
        answered(&answers, &place("b", "2"), "").await;
        assert!(!is_kept(&answers, &own) && is_kept(&answers, &other));
        assert!(is_kept(&answers, &place("b", "1")) && is_kept(&answers, &place("b", "2")));
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing() {
        let answers = answers(3, 1 << 20);
        let place = place("a", "1");
        let Ok(Turn::Run(running)) = answers.turn(&place, blake3::hash(b"")) else { panic!() };
        let Ok(Turn::Wait(mut ended)) = answers.turn(&place, blake3::hash(b"")) else { panic!() };
        assert!(answers.turn(&place, blake3::hash(b"x")).is_err());
        drop(running);
        assert!(ended.changed().await.is_err());
        assert!(answers.entries().is_empty());
    }
}
