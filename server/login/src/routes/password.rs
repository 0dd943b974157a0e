//! `/api/v1/auth/password`

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use server_http::ApiError;
use server_identity::mail::Letter;
use server_identity::{Password, Purpose, Secret, UnixSeconds};

use crate::Login;
use crate::attempts::{Client, seconds};
use crate::body::{Body, email, no_such_token, token};
use crate::hashing::unfit;
use crate::letters::ErrandError;
use crate::openapi::Refusals;
use crate::wire::AuthStatus;
use crate::wire::sign_up::{ForgotPasswordRequest, ResetPasswordRequest};

/// What the store calls its tokens.
const PURPOSE: &str = "reset_password";

pub(super) fn routes() -> Router<Login> {
    Router::new()
        .route("/api/v1/auth/password/forgot", post(forgot))
        .route("/api/v1/auth/password/reset", post(reset))
}

/// Sends a link to set a new password. The answer is the same where there is no such account.
#[utoipa::path(post, path = "/api/v1/auth/password/forgot", tag = "Login",
    operation_id = "forgot_password", request_body = ForgotPasswordRequest, security(()),
    responses((status = 202, description = "A letter is on its way", body = AuthStatus), Refusals))]
pub(crate) async fn forgot(
    State(login): State<Login>,
    client: Client,
    Body(body): Body<ForgotPasswordRequest>,
) -> Result<(StatusCode, Json<AuthStatus>), ApiError> {
    login.forgot_password(&client, &body.email)?;
    Ok((StatusCode::ACCEPTED, AuthStatus::new("check_your_mail")))
}

/// Sets a new password with the token of a link, and ends all sessions.
#[utoipa::path(post, path = "/api/v1/auth/password/reset", tag = "Login",
    operation_id = "reset_password", request_body = ResetPasswordRequest, security(()),
    responses((status = 200, description = "It is set: log in", body = AuthStatus), Refusals))]
pub(crate) async fn reset(
    State(login): State<Login>,
    Body(body): Body<ResetPasswordRequest>,
) -> Result<Json<AuthStatus>, ApiError> {
    login.reset_password(&body.token, &body.password).await?;
    Ok(AuthStatus::new("password_set"))
}

impl Login {
    /// Sends a link to whoever has an account with an address, after the answer.
    pub(crate) fn forgot_password(&self, client: &Client, address: &str) -> Result<(), ApiError> {
        let email = email(address)?.key();
        let errand = self.0.letters.errand()?;
        self.begin_letter(client)?;
        let login = self.clone();
        errand.run(async move { login.send_reset(&email).await });
        Ok(())
    }

    /// Sets a new password by the token of a link.
    pub(crate) async fn reset_password(&self, text: &str, password: &str) -> Result<(), ApiError> {
        let hash = token(Purpose::PasswordReset, text)?;
        let (store, now) = (&self.0.store, seconds(UnixSeconds::now()));
        // A password that is not taken does not use the link up.
        let found = store.find_user_token(&hash, PURPOSE, now).await?;
        let (id, _) = found.ok_or_else(no_such_token)?;
        let user = store.user(&id).await?;
        let chosen = Password::chosen(password, &[&user.email, &user.name]);
        let chosen = chosen.map_err(|error| unfit("password", &error))?;
        let password = self.0.hashing.place()?.hash(chosen).await?;
        let taken = store.take_user_token(&hash, PURPOSE, now).await?;
        let (id, address) = taken.ok_or_else(no_such_token)?;
        store.set_password(&id, &password).await?;
        // The link came to the address.
        store.verify_email(&id, &address).await?;
        store.end_sessions(&id, None).await?;
        Ok(store.clear_login_failures(&user.email).await?)
    }

    async fn send_reset(&self, email: &str) -> Result<(), ErrandError> {
        let letters = &self.0.letters;
        let found = self.0.store.user_by_email(email).await?;
        let Some(user) = found.filter(|user| user.disabled_at.is_none()) else { return Ok(()) };
        let lifetime = self.0.settings.reset_lifetime;
        let secret = Secret::random(Purpose::PasswordReset);
        let end = seconds(UnixSeconds::now().after(lifetime));
        let hash = secret.hash().to_hex();
        self.0.store.put_user_token(&hash, &user.id, PURPOSE, &user.email, end).await?;
        let link = letters.page_with("reset-password", &secret);
        let letter = Letter::password_reset(&letters.site(), &link, lifetime)?;
        letters.send(&user.email, &letter).await
    }
}
