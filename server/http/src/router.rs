//! Which handler answers what, and what stands around all of them.

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use futures_util::FutureExt;

use crate::routes::{models, requests, status, tokens};
use crate::{
    ApiError, AppState, anthropic, audio, auth, bedrock, conversations, encoding, heads,
    idempotency, local, observe, openai, responses,
};

/// All routes. Those for models need a key, those for probes and browsing do not, and those that
/// were mounted check for themselves.
pub fn router(state: AppState) -> Router {
    let once = from_fn_with_state(state.clone(), idempotency::once);
    let api = Router::new()
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::show))
        .route("/v1/requests/{id}/cancel", post(requests::cancel))
        .route("/v1/requests/{id}", delete(requests::delete))
        .route("/tokenize", post(tokens::tokenize))
        .route("/detokenize", post(tokens::detokenize))
        .merge(openai::routes(&state))
        .merge(encoding::routes(&state))
        .merge(audio::routes())
        .merge(responses::routes().layer(once.clone()))
        .merge(conversations::routes().layer(once))
        .route("/tokenizer_info", get(tokens::info))
        .method_not_allowed_fallback(method_not_allowed)
        .route_layer(from_fn_with_state(state.clone(), auth::require_caller));
    let open = Router::new()
        .route("/health", get(status::health))
        .route("/ready", get(status::ready))
        .route("/metrics", get(status::metrics))
        .route("/openapi.json", get(status::openapi_json))
        .route("/docs", get(status::docs))
        .method_not_allowed_fallback(method_not_allowed);
    let mounted = state.mounted().iter().fold(Router::new(), |all, it| all.merge(it.routes()));
    let mounted = mounted.method_not_allowed_fallback(method_not_allowed);
    let mut router = api
        .merge(anthropic::routes(&state))
        .merge(encoding::tei_routes(&state))
        .merge(open)
        .merge(mounted)
        .fallback(not_found)
        .layer(from_fn_with_state(state.clone(), heads::require_small))
        .merge(bedrock::routes(&state));
    if let Some(cors) = state.cors().layer() {
        router = router.layer(cors);
    }
    // Outermost of the two: on a server without keys no page from elsewhere is allowed anything.
    if state.auth().is_open() {
        router = router.layer(from_fn(local::require_local));
    }
    router.layer(from_fn_with_state(state.clone(), around)).with_state(state)
}

/// What stands around every route, in one layer: for each request axum copies all layers that are
/// within one, for each one.
async fn around(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let handle = |request| async {
        let handled = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        handled.unwrap_or_else(|_| ApiError::internal().into_response())
    };
    observe::observe(&state, request, |request| anthropic::shape(request, handle)).await
}

pub(crate) async fn not_found(request: Request) -> Response {
    // Bedrock has many operations, in many places.
    if bedrock::is_signed(request.headers()) {
        return bedrock::unknown_path(&request);
    }
    let path: String = request.uri().path().chars().take(128).collect();
    let message = format!("Unknown request URL: {} {path}.", request.method());
    ApiError::refused(StatusCode::NOT_FOUND, "unknown_url", message).into_response()
}

pub(crate) async fn method_not_allowed(request: Request) -> ApiError {
    let path: String = request.uri().path().chars().take(128).collect();
    let message = format!("Not allowed to {} on {path}.", request.method());
    ApiError::refused(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
