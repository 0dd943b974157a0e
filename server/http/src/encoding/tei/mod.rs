//! The routes of Hugging Face's text-embeddings-inference, for its clients: `/embed`,
//! `/similarity`, `/predict`, `/info`, and `/rerank` where a request has `texts`.
//!
//! Invariant: an error has that server's shape and statuses, whoever found it.

pub(crate) mod embed;
pub(crate) mod info;
pub(crate) mod predict;
pub(super) mod rank;

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use server_api::TeiError;

use crate::ApiError;
use crate::error::reshaped;

/// Around its routes.
pub(super) async fn shape(request: Request, next: Next) -> Response {
    reshaped(next.run(request).await, body)
}

/// An error that was found where the shape is not put around all.
pub(super) fn error(error: ApiError) -> Response {
    reshaped(error.into_response(), body)
}

fn body(error: &ApiError) -> Response {
    let body = error.body().error;
    let is_full = body.code.as_deref() == Some("queue_full");
    let (status, error_type) = match error.status() {
        StatusCode::SERVICE_UNAVAILABLE if is_full => (StatusCode::TOO_MANY_REQUESTS, "Overloaded"),
        status @ StatusCode::TOO_MANY_REQUESTS => (status, "Overloaded"),
        StatusCode::SERVICE_UNAVAILABLE => (StatusCode::SERVICE_UNAVAILABLE, "Unhealthy"),
        StatusCode::INTERNAL_SERVER_ERROR => (StatusCode::FAILED_DEPENDENCY, "Backend"),
        StatusCode::GATEWAY_TIMEOUT => (StatusCode::GATEWAY_TIMEOUT, "Backend"),
        // What that server says of inputs it does not take.
        StatusCode::BAD_REQUEST => (StatusCode::PAYLOAD_TOO_LARGE, "Validation"),
        status => (status, "Validation"),
    };
    let body = TeiError { error: body.message, error_type: error_type.to_owned() };
    (status, Json(body)).into_response()
}
