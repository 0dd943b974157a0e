//! Around every request: its id, its span, its metrics, and one line in the log.
//!
//! Invariant: nothing of a body, a query or a key gets into a span.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::Response;
use tracing::Instrument;
use tracing::field::Empty;

use crate::AppState;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");
const MAX_REQUEST_ID: usize = 128;

/// What a request is called in its answer's head.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// Gives a request its id and span, and its response the headers that tell of them.
pub(crate) async fn observe<F: Future<Output = Response>>(
    state: &AppState,
    mut request: Request,
    handle: impl FnOnce(Request) -> F,
) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.as_str().into()));
    let method = method_label(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request", %id, method, route, key_id = Empty, model = Empty, status = Empty
    );
    let id = HeaderValue::from_str(&id).ok();
    let mut response = handle(request).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), started.elapsed());
    span.record("status", status);
    state.metrics().answered(method, route, status, took);
    let elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    // Probes come every few seconds and would drown the rest.
    if matches!(route, "/health" | "/ready" | "/metrics") {
        tracing::debug!(parent: &span, elapsed_ms, "answered");
    } else {
        tracing::info!(parent: &span, elapsed_ms, "answered");
    }
    let headers = response.headers_mut();
    headers.insert(PROCESSING_MS, elapsed_ms.into());
    if let Some(id) = id {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// The client's own id if it is fit for a log, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let fit = |id: &&str| {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.bytes().all(is_fit)
    };
    let own = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(fit);
    own.map_or_else(|| format!("req_{:032x}", rand::random::<u128>()), str::to_owned)
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
