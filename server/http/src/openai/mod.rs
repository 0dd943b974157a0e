//! OpenAI's chat completions and completions, and the chats that are stored.
//!
//! Invariant: nothing is decided here that the chat does not decide; only names and shapes differ.

pub(crate) mod chat;
mod chat_wire;
pub(crate) mod completions;
pub(crate) mod stored_chats;
mod token_names;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::post;

use crate::{AppState, idempotency};

pub(crate) use chat_wire::{ChatWire, token_logprobs};
pub(crate) use token_names::TokenNames;

/// Their routes.
pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    Router::new()
        .route("/v1/chat/completions", post(chat::create))
        .route("/v1/completions", post(completions::create))
        .layer(from_fn_with_state(state.clone(), idempotency::once))
        .merge(stored_chats::routes())
}
