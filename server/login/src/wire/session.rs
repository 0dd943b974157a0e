//! Logging in, and sessions.

use serde::{Deserialize, Serialize};
use server_store::Session;
use utoipa::ToSchema;

/// Who somebody says they are.
#[derive(Deserialize, ToSchema)]
pub(crate) struct LoginRequest {
    /// Their address.
    pub(crate) email: String,
    /// Their password.
    pub(crate) password: String,
    /// The six digits of their second factor, if they have one.
    pub(crate) totp: Option<String>,
    /// Instead of them, a recovery code.
    pub(crate) recovery_code: Option<String>,
    /// The organization that the access token is for.
    pub(crate) organization: Option<String>,
    /// Sets a cookie instead of telling the session's token; for the server's own pages.
    #[serde(default)]
    pub(crate) cookie: bool,
}

/// What the next access token is for.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RefreshRequest {
    /// The organization.
    pub(crate) organization: Option<String>,
}

/// A second factor.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SecondFactorRequest {
    /// Six digits.
    pub(crate) totp: Option<String>,
    /// Instead of them, a recovery code.
    pub(crate) recovery_code: Option<String>,
}

/// What a session lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Due {
    /// The user's second factor, at `/api/v1/auth/second-factor`.
    SecondFactor,
    /// A second factor, which an organization requires, at `/api/v1/me/totp`.
    SecondFactorSetup,
}

/// A session.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionAnswer {
    /// Always `auth.session`.
    pub(crate) object: &'static str,
    /// `sess_…`
    pub(crate) session_id: String,
    /// `abs_…`, told once; null where it is in a cookie, or known.
    pub(crate) session_token: Option<String>,
    /// Unix time in seconds.
    pub(crate) session_expires_at: i64,
    /// A short-lived token; null while something is required.
    pub(crate) access_token: Option<String>,
    /// Always `Bearer`.
    pub(crate) token_type: &'static str,
    /// How long the access token holds, in seconds.
    pub(crate) expires_in: Option<u64>,
    /// What is to be done first.
    pub(crate) required: Option<Due>,
}

/// A session, as its user sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionObject {
    /// `sess_…`
    id: String,
    /// Always `auth.session`.
    object: &'static str,
    /// Unix time in seconds.
    created_at: i64,
    /// To the minute.
    last_used_at: i64,
    /// When it ends.
    expires_at: i64,
    /// Whether a second factor was shown.
    two_factors: bool,
    /// From where it began.
    ip_address: Option<String>,
    /// With what.
    user_agent: Option<String>,
    /// Whether it is the one that asks.
    is_current: bool,
}

impl SessionObject {
    pub(crate) fn new(session: Session, current: &str) -> Self {
        Self {
            is_current: session.id == current,
            id: session.id,
            object: "auth.session",
            created_at: session.created_at,
            last_used_at: session.used_at,
            expires_at: session.expires_at,
            two_factors: session.two_factors,
            ip_address: session.address,
            user_agent: session.agent,
        }
    }
}

/// All sessions of a user.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "only its schema is used; `All` is what is written")]
pub(crate) struct SessionObjects {
    /// Always `list`.
    object: &'static str,
    /// The newest first, 50 at most.
    data: Vec<SessionObject>,
}
