//! How much the head of a request may hold.
//!
//! Invariant: hyper takes [`ROOM`] times of it, so that what is too much is refused here, in the
//! shape of the API that was asked; still more hyper refuses without a body.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

use crate::{ApiError, AppState};

/// What hyper takes, as a multiple of what is allowed.
pub(crate) const ROOM: usize = 4;
/// Of a header beside its name and value, as HTTP/1 writes it: a colon, a space, the line's end.
const LINE_BYTES: usize = 4;

/// Answers 431 to heads that have too many fields or are too long.
pub(crate) async fn require_small(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (limits, headers) = (state.limits(), request.headers());
    if headers.len() > limits.max_headers {
        let (num, most) = (headers.len(), limits.max_headers);
        return Err(too_large(format!("The request has {num} headers; at most {most} are taken.")));
    }
    let fields = headers.iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + LINE_BYTES);
    let (num_bytes, most) = (fields.sum::<usize>(), limits.max_header_bytes);
    if num_bytes > most {
        let message =
            format!("The request's headers have {num_bytes} bytes; at most {most} are taken.");
        return Err(too_large(message));
    }
    Ok(next.run(request).await)
}

fn too_large(message: String) -> ApiError {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    ApiError::refused(status, "headers_too_large", message)
}
