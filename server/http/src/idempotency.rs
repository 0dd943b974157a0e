//! `Idempotency-Key`: a request that is sent again gets its first answer again.
//!
//! Invariant: a request without the key passes untouched; one with it is read within the limits
//! that hold for all bodies.

use std::future::poll_fn;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use crate::answers::{Answer, Digest, Turn};
use crate::ticket::Life;
use crate::{ApiError, AppState, Caller, json};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// What AWS's headers for options of a request begin with.
const OF_BEDROCK: &str = "x-amzn-bedrock-";
const MAX_KEY_BYTES: usize = 255;

/// Around a route that generates: lets a request without a key pass, and one with a key run once.
pub(crate) async fn once(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let asked = if request.method() == Method::POST { key(request.headers())? } else { None };
    let Some(key) = asked else { return Ok(next.run(request).await) };
    let Some(caller) = request.extensions().get::<Caller>() else {
        return Err(ApiError::internal());
    };
    let (whose, is_stored) = (caller.whose(), caller.stores());
    let (head, body) = request.into_parts();
    let mut bare = Request::new(body);
    bare.headers_mut().clone_from(&head.headers);
    let body = Bytes::from(json::read(bare, state.limits()).await?);
    let digest = digest(head.uri.path(), &head.headers, &body);
    let place = (whose, key);
    loop {
        match state.answers().turn(&place, digest)? {
            Turn::Replay(answer) => return Ok(replay(answer)),
            Turn::Wait(ended) => wait(ended).await?,
            Turn::Run(running) => {
                let response = next.run(Request::from_parts(head, Body::from(body))).await;
                return running.finish(response, is_stored).await;
            }
        }
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
    match value.to_str().ok().filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len())) {
        Some(key) => Ok(Some(key.to_owned())),
        None => {
            let message = format!("An Idempotency-Key has 1 to {MAX_KEY_BYTES} ASCII characters.");
            Err(ApiError::invalid(Some("Idempotency-Key"), message))
        }
    }
}

/// Of all that an answer depends on: AWS's clients ask for guardrails, tiers and so on by headers.
fn digest(path: &str, headers: &HeaderMap, body: &[u8]) -> Digest {
    let mut asked: Vec<_> =
        headers.iter().filter(|(name, _)| name.as_str().starts_with(OF_BEDROCK)).collect();
    // The order in which they were sent means nothing between names.
    asked.sort_by_key(|(name, _)| name.as_str());
    let mut hasher = blake3::Hasher::new();
    hasher.update(path.as_bytes()).update(&[0]);
    for (name, value) in asked {
        hasher.update(name.as_str().as_bytes()).update(&[0]);
        hasher.update(value.as_bytes()).update(&[0]);
    }
    // No header's name is empty.
    hasher.update(&[0]).update(body);
    hasher.finalize()
}

/// Until the request that runs has ended, or this one has no time left.
async fn wait(mut ended: watch::Receiver<()>) -> Result<(), ApiError> {
    let mut life = Life::of_current(None);
    tokio::select! {
        error = poll_fn(|cx| life.poll_over(cx)) => Err(error),
        _ = ended.changed() => Ok(()),
    }
}

fn replay(answer: Answer) -> Response {
    let Answer { status, headers, body } = answer;
    let mut response = (status, body).into_response();
    *response.headers_mut() = headers;
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
