//! `/api/v1/auth/login`, and the session that follows: refresh, second factor, logout.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use server_http::ApiError;
use server_identity::Password;
use server_store::User;

use crate::attempts::Client;
use crate::body::{Body, email};
use crate::factors::{Shown, wrong_factor};
use crate::hashing::unfit;
use crate::openapi::Refusals;
use crate::sessions::{Begun, Wanted};
use crate::who::{Anyone, Way};
use crate::wire::AuthStatus;
use crate::wire::session::{LoginRequest, RefreshRequest, SecondFactorRequest, SessionAnswer};
use crate::{Login, cookie};

pub(super) fn routes() -> Router<Login> {
    Router::new()
        .route("/api/v1/auth/login", post(login))
        .route("/api/v1/auth/second-factor", post(second_factor))
        .route("/api/v1/auth/refresh", post(refresh))
        .route("/api/v1/auth/logout", post(logout))
}

/// Begins a session. Who has a second factor sends a code, too; without one the answer to the right
/// password is `second_factor_required`.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "Login", operation_id = "login",
    request_body = LoginRequest, security(()),
    responses((status = 200, description = "They are in", body = SessionAnswer), Refusals))]
pub(crate) async fn login(
    State(login): State<Login>,
    client: Client,
    headers: HeaderMap,
    Body(body): Body<LoginRequest>,
) -> Result<Response, ApiError> {
    if body.cookie {
        login.check_origin(&Method::POST, &headers)?;
    }
    let email = email(&body.email)?.key();
    let shown = Shown { totp: body.totp.as_deref(), recovery_code: body.recovery_code.as_deref() };
    let user = login.let_in(&client, (&email, &body.password), shown).await?;
    let begun = login.begin_session(&user, user.totp_enabled_at.is_some(), &client).await?;
    let wanted = Wanted { cookie: body.cookie, organization: body.organization.as_deref() };
    let set = begun.secret.as_ref().filter(|_| body.cookie).map(|it| login.session_cookie(it));
    let answer = login.tell(&user, begun, wanted).await?;
    Ok(match set {
        Some(set) => (set, answer).into_response(),
        None => answer,
    })
}

/// Shows the second factor in a session that lacks it, as after a login with another provider.
#[utoipa::path(post, path = "/api/v1/auth/second-factor", tag = "Login",
    operation_id = "show_second_factor", request_body = SecondFactorRequest,
    responses((status = 200, description = "It is right", body = SessionAnswer), Refusals))]
pub(crate) async fn second_factor(
    State(login): State<Login>,
    anyone: Anyone,
    client: Client,
    Body(body): Body<SecondFactorRequest>,
) -> Result<Response, ApiError> {
    let (user, session) = (anyone.user, anyone.session);
    let shown = Shown { totp: body.totp.as_deref(), recovery_code: body.recovery_code.as_deref() };
    if shown.is_none() {
        return Err(ApiError::missing("totp"));
    }
    if user.totp_enabled_at.is_none() {
        let message = "You have no second factor: set one up, at /api/v1/me/totp.";
        return Err(ApiError::invalid(None, message));
    }
    login.begin_attempt(&client, &user.email).await?;
    if !login.take_factor(&user, shown).await? {
        return Err(wrong_factor());
    }
    login.succeeded(&client, &user.email).await?;
    login.0.store.raise_session(&session.id).await?;
    let (id, expires_at) = (session.id, session.expires_at);
    let begun = Begun { id, expires_at, two_factors: true, secret: None };
    login.tell(&user, begun, Wanted::default()).await
}

/// Gives another access token, for the token or the cookie of a session.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "Login", operation_id = "refresh",
    request_body = RefreshRequest,
    responses((status = 200, description = "The session", body = SessionAnswer), Refusals))]
pub(crate) async fn refresh(
    State(login): State<Login>,
    anyone: Anyone,
    Body(body): Body<RefreshRequest>,
) -> Result<Response, ApiError> {
    if anyone.way == Way::Token {
        // One that leaked would live on as long as the session.
        let message = "An access token is not refreshed with itself: send the session's token.";
        return Err(ApiError::refused(StatusCode::UNAUTHORIZED, "invalid_session", message));
    }
    let session = anyone.session;
    let begun = Begun {
        id: session.id,
        expires_at: session.expires_at,
        two_factors: session.two_factors,
        secret: None,
    };
    let organization = body.organization.as_deref();
    login.tell(&anyone.user, begun, Wanted { cookie: false, organization }).await
}

/// Ends the session, and the access tokens that came of it.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "Login", operation_id = "logout",
    responses((status = 200, description = "It has ended", body = AuthStatus), Refusals))]
pub(crate) async fn logout(
    State(login): State<Login>,
    anyone: Anyone,
) -> Result<Response, ApiError> {
    login.0.store.end_session(&anyone.user.id, &anyone.session.id).await?;
    Ok((cookie::clear(cookie::SESSION), AuthStatus::new("logged_out")).into_response())
}

impl Login {
    /// Whose address, in lower case, and password it is, and second factor where it is in force.
    pub(crate) async fn let_in(
        &self,
        client: &Client,
        (email, password): (&str, &str),
        shown: Shown<'_>,
    ) -> Result<User, ApiError> {
        let typed = Password::typed(password).map_err(|error| unfit("password", &error))?;
        let place = self.0.hashing.place()?;
        self.begin_attempt(client, email).await?;
        let found = self.0.store.login_of(email).await?;
        let stored = found.as_ref().and_then(|found| found.password.clone());
        let is_right = place.verify(typed, stored.clone()).await?;
        let user = found.map(|found| found.user).filter(|it| is_right && it.disabled_at.is_none());
        let user = user.ok_or_else(wrong)?;
        if user.email_verified_at.is_none() {
            return Err(unverified());
        }
        let has_factor = user.totp_enabled_at.is_some();
        if has_factor && shown.is_none() {
            // It counts on the account: nobody tries codes and takes that back with a password.
            self.succeeded_from(client);
            return Err(factor_missing());
        }
        if has_factor && !self.take_factor(&user, shown).await? {
            return Err(wrong_factor());
        }
        self.succeeded(client, email).await?;
        self.renew_hash(&user.id, password, stored.as_deref()).await?;
        Ok(user)
    }

    /// Hashes a password anew that was right, if it was with other parameters than now.
    async fn renew_hash(
        &self,
        user: &str,
        password: &str,
        stored: Option<&str>,
    ) -> Result<(), ApiError> {
        let hashing = &self.0.hashing;
        if stored.is_none_or(|stored| !hashing.needs_rehash(stored)) {
            return Ok(());
        }
        let (Ok(typed), Ok(place)) = (Password::typed(password), hashing.place()) else {
            // The next login does it.
            return Ok(());
        };
        let hash = place.hash(typed).await?;
        Ok(self.0.store.set_password(user, &hash).await?)
    }
}

/// Nobody, somebody else, or somebody who may not: which is not told.
fn wrong() -> ApiError {
    let message = "The address or the password is wrong.";
    ApiError::refused(StatusCode::UNAUTHORIZED, "invalid_credentials", message)
}

fn unverified() -> ApiError {
    let message = "The address was not confirmed yet: open the link that was sent to it, or sign \
                   up once more for another one.";
    ApiError::refused(StatusCode::FORBIDDEN, "email_not_verified", message)
}

fn factor_missing() -> ApiError {
    let message = "Send a code of your second factor, too, as 'totp' or 'recovery_code'.";
    ApiError::refused(StatusCode::UNAUTHORIZED, "second_factor_required", message)
}
