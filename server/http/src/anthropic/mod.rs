//! Anthropic's Messages API over the same chat: its requests become ours, our outputs its events.
//!
//! Invariant: nothing is decided here that the chat does not decide; only names and shapes differ.

mod errors;
pub(crate) mod messages;
pub(crate) mod models;
mod names;
mod request;
mod wire;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::post;

use crate::{AppState, auth, idempotency, router};

pub(crate) use errors::{is_meant, is_spoken, shape};
pub(crate) use messages::writer;
pub(crate) use names::Names;
pub(crate) use request::{check_budget, to_chat};
pub(crate) use wire::MessagesWire;

/// Its routes.
pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    Router::new()
        .route("/v1/messages", post(messages::create))
        .layer(from_fn_with_state(state.clone(), idempotency::once))
        .route("/v1/messages/count_tokens", post(messages::count_tokens))
        .method_not_allowed_fallback(router::method_not_allowed)
        .route_layer(from_fn_with_state(state.clone(), auth::require_caller))
}
