//! Errors in Anthropic's shape.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::ApiError;
use crate::error::reshaped;

/// The body of an error, as an answer or as an event of a stream.
pub(super) fn body(error: &ApiError) -> Value {
    let kind = match error.status() {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => "timeout_error",
        status if status.is_client_error() => "invalid_request_error",
        _ => "api_error",
    };
    let message = error.body().error.message;
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

/// Writes an error that came from below anew.
pub(super) async fn shape(response: Response) -> Response {
    reshaped(response, |error| {
        // Anthropic's clients know a server without room by a number of its own.
        let status = match error.status() {
            StatusCode::SERVICE_UNAVAILABLE => StatusCode::from_u16(529).unwrap_or(error.status()),
            status => status,
        };
        (status, Json(body(error))).into_response()
    })
}
