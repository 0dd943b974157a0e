//! What routes of other crates answer who asks too often.

use axum::http::StatusCode;

use crate::ApiError;

impl ApiError {
    /// 429 with `Retry-After`.
    pub fn too_many(code: &str, message: impl Into<String>, retry_after_s: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message)
            .code(code)
            .retry_after(retry_after_s)
    }
}
