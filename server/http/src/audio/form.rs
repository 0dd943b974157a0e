//! A form with a file, as browsers send it: received within limits, taken apart.
//!
//! Invariant: a form is bounded in bytes, fields and time before anything is made of it.

use axum::body::{Body, Bytes};
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, StatusCode, header};

use crate::{ApiError, AppState, json};

/// What a form may have beside its file, in bytes.
const MAX_OTHER_BYTES: usize = 256 << 10;
const MAX_FIELDS: usize = 64;
/// Far above any extension.
const MAX_EXTENSION_BYTES: usize = 16;

/// A file that came with a form.
pub(super) struct Upload {
    pub(super) bytes: Bytes,
    /// Of its name, where it has one.
    pub(super) extension: Option<String>,
}

/// A form.
#[derive(Default)]
pub(super) struct Form {
    pub(super) file: Option<Upload>,
    /// In the order in which they came.
    pub(super) fields: Vec<(String, String)>,
}

/// 413 for a file over the limit.
pub(super) fn too_large(max_bytes: usize) -> ApiError {
    let message = format!("The file of 'file' is larger than the limit of {max_bytes} bytes.");
    ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
}

impl Form {
    /// Receives one.
    pub(super) async fn read(state: &AppState, request: Request) -> Result<Self, ApiError> {
        check_content_type(request.headers())?;
        let (head, body) = request.into_parts();
        let mut bare = Request::new(body);
        bare.headers_mut().clone_from(&head.headers);
        let max_bytes = state.limits().max_audio_bytes.saturating_add(MAX_OTHER_BYTES);
        let body = json::read_up_to(max_bytes, bare, state.limits()).await?;
        let request = Request::from_parts(head, Body::from(body));
        let parts = Multipart::from_request(request, state).await;
        Self::of(parts.map_err(|error| broken(&error.body_text()))?).await
    }

    async fn of(mut parts: Multipart) -> Result<Self, ApiError> {
        let mut form = Self::default();
        let mut num_fields = 0;
        while let Some(field) = parts.next_field().await.map_err(|error| unreadable(&error))? {
            num_fields += 1;
            if num_fields > MAX_FIELDS {
                let message = format!("The form has more than {MAX_FIELDS} fields.");
                return Err(ApiError::invalid(None, message));
            }
            let name = field.name().unwrap_or_default().to_owned();
            let extension = field.file_name().and_then(extension);
            let bytes = field.bytes().await.map_err(|error| unreadable(&error))?;
            if name == "file" {
                if form.file.replace(Upload { bytes, extension }).is_some() {
                    return Err(ApiError::invalid(Some("file"), "'file' is there twice."));
                }
                continue;
            }
            let text = String::from_utf8(bytes.into()).map_err(|_| {
                ApiError::invalid(Some(&clip(&name)), "A field of the form is not UTF-8.")
            })?;
            form.fields.push((name, text));
        }
        Ok(form)
    }
}

/// As much of a field's name as goes into an answer.
fn clip(name: &str) -> String {
    name.chars().take(64).collect()
}

fn extension(name: &str) -> Option<String> {
    let (_, extension) = name.rsplit_once('.')?;
    let is_plain = (1..=MAX_EXTENSION_BYTES).contains(&extension.len())
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then(|| extension.to_ascii_lowercase())
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mime = value.unwrap_or_default().split(';').next().unwrap_or_default();
    if mime.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Ok(());
    }
    let message = "The Content-Type must be multipart/form-data.";
    Err(ApiError::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
}

fn unreadable(error: &MultipartError) -> ApiError {
    broken(&error.body_text())
}

fn broken(cause: &str) -> ApiError {
    ApiError::invalid(None, format!("The form cannot be read: {cause}."))
}

#[cfg(test)]
mod tests {
    use super::extension;

    #[test]
    fn only_plain_extensions_count() {
        for (name, want) in [
            ("a.wav", Some("wav")),
            ("a.b.MP3", Some("mp3")),
            ("wav", None),
            ("a.", None),
            ("a.w v", None),
            ("a.aaaaaaaaaaaaaaaaa", None),
        ] {
            assert_eq!(extension(name).as_deref(), want, "{name}");
        }
    }
}
