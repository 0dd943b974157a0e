//! The shapes of what is asked and answered.
//!
//! Invariant: what holds a password, a code or a token has no `Debug`.

pub(crate) mod me;
pub(crate) mod session;
pub(crate) mod sign_up;

use serde::Serialize;
use utoipa::ToSchema;

/// Something was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuthStatus {
    /// Always `auth.status`.
    object: &'static str,
    /// What was done: `check_your_mail`, `ready`, `verified`, `password_set`, `logged_out`, …
    status: &'static str,
}

impl AuthStatus {
    pub(crate) fn new(status: &'static str) -> axum::Json<Self> {
        axum::Json(Self { object: "auth.status", status })
    }
}

/// All there are.
#[derive(Debug, Serialize)]
pub(crate) struct All<T> {
    object: &'static str,
    data: Vec<T>,
}

impl<T> All<T> {
    pub(crate) fn new(data: Vec<T>) -> axum::Json<Self> {
        axum::Json(Self { object: "list", data })
    }
}
