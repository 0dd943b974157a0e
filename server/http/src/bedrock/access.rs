//! Who asks: by an API key as a bearer token, or by a signature made with the key's AWS form.
//!
//! Invariant: a signed request goes on with the very body whose hash was signed.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::errors::forbidden;
use super::sigv4::{self, Signature};
use crate::auth::{self, AuthError, Signer, admit};
use crate::blocking::run_sized;
use crate::json;
use crate::{ApiError, AppState, Caller};

/// What AWS's clients sign for.
const SERVICE: &str = "bedrock";

/// Lets a request pass with its [`Caller`].
pub(super) async fn require_caller(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (caller, request) = if sigv4::is_signed(request.headers()) && !state.auth().is_open() {
        signed(&state, request).await?
    } else {
        (auth::checked(&state, auth::key(request.headers())).await.map_err(refused)?, request)
    };
    admit(&state, caller, request, next).await
}

async fn signed(state: &AppState, request: Request) -> Result<(Caller, Request), ApiError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    // Before the body is read, all that can be known without it.
    let signature = Signature::of(request.headers(), SERVICE, now)?;
    let Signer { caller, secrets } =
        state.auth().signer(&signature.access_key_id).map_err(refused)?;
    let (head, body) = request.into_parts();
    let body = json::read(Request::from_parts(head.clone(), body), state.limits()).await?;
    let num_bytes = body.len();
    let check = move || signature.check(&secrets, &head, &body).map(|()| (head, body));
    let (head, body) = run_sized(state, num_bytes, check).await??;
    Ok((caller, Request::from_parts(head, Body::from(body))))
}

fn refused(error: AuthError) -> ApiError {
    let name = match error {
        AuthError::Missing => "MissingAuthenticationTokenException",
        AuthError::UnknownAccessKey => "UnrecognizedClientException",
        AuthError::Expired => "ExpiredTokenException",
        AuthError::Unavailable => return error.into(),
        AuthError::Invalid | AuthError::NoSecret | AuthError::Forbidden(_) => {
            "AccessDeniedException"
        }
    };
    forbidden(name, error.to_string())
}
