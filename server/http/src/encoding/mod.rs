//! What encoders answer: embeddings, ranks, scores and labels, in the forms of OpenAI, Cohere,
//! Jina, vLLM and Hugging Face's text-embeddings-inference.
//!
//! Where each step of a request happens: the route's handler (what is asked) → `input` (of what
//! model and how) → `tokens` → `run` (submit, rows) → `vectors`, `scores` (what a row means) → the
//! handler (its API's shape).
//!
//! Invariant: a request is answered whole or not at all; an error names the one input at fault.
//! Dropping the handler takes out what is not computed.

pub(crate) mod classify;
pub(crate) mod embeddings;
mod input;
pub(crate) mod moderations;
pub(crate) mod rerank;
mod run;
pub(crate) mod score;
mod scores;
pub(crate) mod tei;
mod tokens;
mod vectors;

use axum::Router;
use axum::http::header;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;

pub use self::moderations::Moderator;
use crate::blocking::run_sized;
use crate::json::{FromJson, parse};
use crate::{ApiError, AppState, auth, idempotency, router, ticket};

/// Bytes that a number takes in an answer, about.
const BYTES_PER_NUMBER: usize = 12;

/// The routes that have OpenAI's errors.
pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    Router::new()
        .route("/v1/embeddings", post(embeddings::create))
        .route("/rerank", post(rerank::either))
        .route("/v1/rerank", post(rerank::v1))
        .route("/v2/rerank", post(rerank::v2))
        .route("/score", post(score::create))
        .route("/v1/score", post(score::v1))
        .route("/classify", post(classify::create))
        .route("/v1/classify", post(classify::v1))
        .route("/v1/moderations", post(moderations::create))
        .layer(from_fn_with_state(state.clone(), idempotency::once))
}

/// Those of text-embeddings-inference, with its errors around all.
pub(crate) fn tei_routes(state: &AppState) -> Router<AppState> {
    Router::new()
        .route("/embed", post(tei::embed::create))
        .route("/similarity", post(tei::embed::similarity))
        .route("/predict", post(tei::predict::create))
        .layer(from_fn_with_state(state.clone(), idempotency::once))
        .route("/info", get(tei::info::show))
        .method_not_allowed_fallback(router::method_not_allowed)
        .route_layer(from_fn_with_state(state.clone(), auth::require_caller))
        .layer(from_fn(tei::shape))
}

macro_rules! from_json {
    ($($request:ident),* $(,)?) => {
        $(impl FromJson for server_api::$request {
            fn from_json(json: &[u8]) -> Result<Self, ApiError> {
                parse(json)
            }
        })*
    };
}

from_json!(
    ClassifyRequest,
    EmbedRequest,
    EmbeddingsRequest,
    ModerationRequest,
    PredictRequest,
    RerankRequest,
    ScoreRequest,
    SimilarityRequest,
);

/// An answer of about so many bytes. Large ones are written away from the threads that serve
/// connections.
async fn answer<T: Serialize>(
    state: &AppState,
    num_bytes: usize,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<Response, ApiError> {
    let json = run_sized(state, num_bytes, move || serde_json::to_vec(&body())).await?;
    let json = json.map_err(|_| ApiError::internal())?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// A name for an answer, by which its request can be cancelled too.
fn new_id(prefix: &str) -> String {
    let id = format!("{prefix}-{:032x}", rand::random::<u128>());
    ticket::name_current(&id);
    id
}
