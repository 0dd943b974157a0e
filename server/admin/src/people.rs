//! People who ask, beside admin keys.

use std::future::Future;
use std::pin::Pin;

use axum::http::{HeaderMap, Method};
use server_accounts::Actor;
use server_http::ApiError;

/// What comes of looking who somebody is.
pub type Known<'a> = Pin<Box<dyn Future<Output = Result<Actor, ApiError>> + Send + 'a>>;

/// Says who people are.
pub trait People: Send + Sync {
    /// What whoever sent a request may, and where, if its head is a person's and not a key's.
    fn known<'a>(&'a self, method: &'a Method, headers: &'a HeaderMap) -> Option<Known<'a>>;
}
