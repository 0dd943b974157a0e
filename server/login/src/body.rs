//! What is read of a request beside who asks: its path, its query and its JSON.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
pub(crate) use server_http::InPath as In;
use server_http::{ApiError, read_json};
use server_identity::{EmailAddress, Purpose, Secret};

/// A password has a kilobyte at most, and nothing here is larger.
const MAX_BODY_BYTES: usize = 16 << 10;

/// The JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        Ok(Self(read_json(request, MAX_BODY_BYTES).await?))
    }
}

/// An address that somebody sent.
pub(crate) fn email(text: &str) -> Result<EmailAddress, ApiError> {
    EmailAddress::parse(text)
        .map_err(|error| ApiError::invalid(Some("email"), format!("Invalid 'email': {error}.")))
}

/// The hash, as it is stored, of a token that somebody sent.
pub(crate) fn token(purpose: Purpose, text: &str) -> Result<String, ApiError> {
    Secret::parse(purpose, text.trim()).map(|it| it.hash().to_hex()).ok_or_else(no_such_token)
}

/// It never was, was used, or is over: which of them is told to nobody.
pub(crate) fn no_such_token() -> ApiError {
    let message = "This token is not valid, was used, or has expired: ask for another one.";
    ApiError::refused(axum::http::StatusCode::BAD_REQUEST, "invalid_token", message)
}
