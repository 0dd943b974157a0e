//! What is read of a request beside its query: ids of its path, and its JSON.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
pub(crate) use server_http::InPath as In;
use server_http::{ApiError, read_json};

/// No body of this API comes near it.
const MAX_BODY_BYTES: usize = 256 << 10;

/// The JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        Ok(Self(read_json(request, MAX_BODY_BYTES).await?))
    }
}
