//! The handlers, one file per resource.

pub(crate) mod email;
pub(crate) mod invitations;
pub(crate) mod login;
pub(crate) mod me;
pub(crate) mod oidc;
pub(crate) mod password;
pub(crate) mod sessions;
pub(crate) mod sign_up;
pub(crate) mod totp;

use axum::Router;

use crate::Login;

/// All routes.
pub(crate) fn all() -> Router<Login> {
    Router::new()
        .merge(email::routes())
        .merge(invitations::routes())
        .merge(login::routes())
        .merge(me::routes())
        .merge(oidc::routes())
        .merge(password::routes())
        .merge(sessions::routes())
        .merge(sign_up::routes())
        .merge(totp::routes())
}
