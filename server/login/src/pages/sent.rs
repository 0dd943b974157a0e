//! What a link or a form says.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, Uri, header};
use server_http::ApiError;
use tokio::time::timeout;

const MAX_BYTES: usize = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(30);
const FORM: &str = "application/x-www-form-urlencoded";

/// Names and values. It has no `Debug`: some are secrets.
#[derive(Default)]
pub(super) struct Sent(Vec<(String, String)>);

impl Sent {
    fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// Of a link. The server reads heads within a limit of its own.
    pub(super) fn of_query(uri: &Uri) -> Self {
        Self::parse(uri.query().unwrap_or_default().as_bytes())
    }

    /// Of a form.
    ///
    /// # Errors
    /// If it is none, larger than one is, or late.
    pub(super) async fn of_body(request: Request) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case(FORM) {
            let (status, message) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "This takes a form.");
            return Err(ApiError::refused(status, "unsupported_media_type", message));
        }
        let read = timeout(PATIENCE, to_bytes(request.into_body(), MAX_BYTES)).await;
        let read = read.map_err(|_| {
            let message = "The form did not arrive in time.";
            ApiError::refused(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
        })?;
        let body = read.map_err(|_| {
            let message = format!("The form is larger than {MAX_BYTES} bytes, or was cut off.");
            ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
        })?;
        Ok(Self::parse(&body))
    }

    /// A value; empty, if it was not sent.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// A value that was sent and is not empty.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }
}
