//! What goes around all answers to Anthropic's clients: the request's id by the name that they
//! read, and errors in Anthropic's shape.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::ApiError;
use crate::error::reshaped;
use crate::observe::RequestId;

const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

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

/// Whether a client of Anthropic's asks: all of them say which version they speak.
pub(crate) fn is_spoken(headers: &HeaderMap) -> bool {
    headers.contains_key(VERSION)
}

/// Whether a request is one of Anthropic's API, by its path or by who asks.
pub(crate) fn is_meant(request: &Request) -> bool {
    let path = request.uri().path();
    let below = path.strip_prefix("/v1/messages");
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        || (!path.starts_with("/model/") && is_spoken(request.headers()))
}

/// Around all routes, as Anthropic's clients also ask for what others have, or nobody: writes
/// errors that came from below anew, and tells the request's id.
pub(crate) async fn shape<F: Future<Output = Response>>(
    request: Request,
    handle: impl FnOnce(Request) -> F,
) -> Response {
    if !is_meant(&request) {
        return handle(request).await;
    }
    let id = request.extensions().get::<RequestId>().cloned();
    let mut response = reshaped(handle(request).await, |error| {
        // Anthropic's clients know a server without room by a number of its own.
        let status = match error.status() {
            StatusCode::SERVICE_UNAVAILABLE => StatusCode::from_u16(529).unwrap_or(error.status()),
            status => status,
        };
        let mut body = body(error);
        body["request_id"] = id.as_ref().map(|RequestId(id)| &**id).into();
        (status, Json(body)).into_response()
    });
    if let Some(id) = id.and_then(|RequestId(id)| HeaderValue::from_str(&id).ok()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
