//! OpenAI's Responses API over the same chat: items become messages, outputs become items.
//!
//! Invariant: nothing is decided here that the chat does not decide, but what is kept and what
//! comes before an input. A response that is to be kept is on disk before its end goes out.

mod background;
mod context;
pub(crate) mod create;
mod fit;
mod items;
mod keep;
mod messages;
mod names;
mod output;
mod request;
pub(crate) mod retrieve;
mod wire;

use axum::Router;
use axum::routing::{any, get, post};

use crate::{AppState, router};

pub(crate) use background::Background;
pub(crate) use items::checked as checked_items;
pub(crate) use keep::item as kept_item;

/// Its routes.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/v1/responses", post(create::create))
        .route("/v1/responses/input_tokens", post(create::count))
        // No response has this name: what OpenAI has there is not here.
        .route("/v1/responses/compact", any(router::not_found))
        .route("/v1/responses/{id}", get(retrieve::retrieve).delete(retrieve::delete))
        .route("/v1/responses/{id}/input_items", get(retrieve::input_items))
        .route("/v1/responses/{id}/cancel", post(retrieve::cancel))
}
