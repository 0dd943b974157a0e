//! The description of these routes, gathered from the handlers.

use server_api::ErrorBody;
use utoipa::openapi::OpenApi;
use utoipa::{IntoResponses, OpenApi as Describe};

use crate::routes::{email, invitations, login, me, oidc, password, sessions, sign_up, totp};

/// What any of these routes may answer instead.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only its description is used; `ApiError` writes the answers")]
pub(crate) enum Refusals {
    /// The request is at fault, or its token is not valid; `param` names the field.
    #[response(status = 400)]
    Invalid(ErrorBody),
    /// Who asks is not logged in, or what was shown is wrong.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// This server, or an organization, does not allow it.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// There is no such thing of whoever asks.
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// There is an account already; told only to who has its address.
    #[response(status = 409)]
    Exists(ErrorBody),
    /// There were too many attempts; `Retry-After` says when to try again.
    #[response(status = 429)]
    TooMany(ErrorBody),
    /// The database, or the provider, cannot be reached.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

#[derive(Describe)]
#[openapi(
    paths(
        email::begin,
        email::confirm,
        invitations::accept,
        login::login,
        login::second_factor,
        login::refresh,
        login::logout,
        me::retrieve,
        me::modify,
        me::delete,
        me::export,
        me::organizations,
        oidc::list,
        oidc::begin,
        oidc::callback,
        password::forgot,
        password::reset,
        sessions::list,
        sessions::end_others,
        sessions::end,
        sign_up::sign_up,
        sign_up::verify_email,
        totp::begin,
        totp::confirm,
        totp::remove,
        totp::replace_codes,
    ),
    components(schemas(ErrorBody, server_api::ErrorObject)),
    security(("key" = []))
)]
struct Document;

/// The description of all routes.
#[must_use]
pub fn document() -> OpenApi {
    Document::openapi()
}
