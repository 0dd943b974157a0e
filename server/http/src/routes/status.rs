//! The server's own state, for probes and dashboards; open to everybody.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use server_api::Health;

use crate::{ApiError, AppState, openapi};

/// Whether the process serves connections.
#[utoipa::path(get, path = "/health", tag = "Status", security(()),
    responses((status = 200, description = "It does", body = Health)))]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok".to_owned(), pending: Vec::new() })
}

/// Whether all models are loaded and answer, keys can be checked, and usage be recorded.
#[utoipa::path(get, path = "/ready", tag = "Status", security(()),
    responses((status = 200, description = "All is ready", body = Health),
        (status = 503, description = "Something is not", body = Health)))]
pub(crate) async fn ready(State(state): State<AppState>) -> Response {
    let health = state.health();
    if health.pending.is_empty() {
        return Json(health).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "2")], Json(health)).into_response()
}

/// Counters, gauges and histograms in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "Status", security(()),
    responses(
        (status = 200, description = "The samples", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(state): State<AppState>) -> Result<Response, ApiError> {
    let text = state.metrics().render(&state.ready_models())?;
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

/// The description of this API.
#[utoipa::path(get, path = "/openapi.json", tag = "Status", security(()),
    responses((status = 200, description = "OpenAPI", body = Object)))]
pub(crate) async fn openapi_json(State(state): State<AppState>) -> Json<utoipa::openapi::OpenApi> {
    Json(openapi::document(state.mounted()))
}

/// A page to browse the description; it loads nothing from elsewhere.
#[utoipa::path(get, path = "/docs", tag = "Status", security(()),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html")))]
pub(crate) async fn docs() -> Html<&'static str> {
    Html(include_str!("docs.html"))
}
