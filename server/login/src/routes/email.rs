//! `/api/v1/me/email` and `/api/v1/auth/change-email`: another address of an account.
//!
//! Invariant: an address counts when its owner opened the link that was sent to it, and the one
//! before is told.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use server_http::ApiError;
use server_identity::mail::Letter;
use server_identity::{Purpose, Secret, UnixSeconds};
use server_store::StoreError;

use crate::Login;
use crate::attempts::{Client, seconds};
use crate::body::{Body, email, no_such_token, token};
use crate::factors::Shown;
use crate::letters::ErrandError;
use crate::openapi::Refusals;
use crate::who::{Anyone, Asker};
use crate::wire::AuthStatus;
use crate::wire::me::EmailChangeRequest;
use crate::wire::sign_up::ChangeEmailRequest;

/// What the store calls its tokens.
const PURPOSE: &str = "change_email";

pub(super) fn routes() -> Router<Login> {
    Router::new()
        .route("/api/v1/me/email", post(begin))
        .route("/api/v1/auth/change-email", post(confirm))
}

/// Sends a link to an address that is to be the account's, for who shows the password and a code
/// once more. The answer is the same where another account has it; its owner learns it by a letter.
#[utoipa::path(post, path = "/api/v1/me/email", tag = "Me", operation_id = "begin_email_change",
    request_body = EmailChangeRequest,
    responses((status = 202, description = "A letter is on its way", body = AuthStatus), Refusals))]
pub(crate) async fn begin(
    State(login): State<Login>,
    Asker(Anyone { user, .. }, _): Asker,
    client: Client,
    Body(body): Body<EmailChangeRequest>,
) -> Result<(StatusCode, Json<AuthStatus>), ApiError> {
    let email = email(&body.email)?.key();
    if email == user.email {
        return Err(ApiError::invalid(Some("email"), "This is your address already."));
    }
    let errand = login.0.letters.errand()?;
    login.begin_letter(&client)?;
    let shown = Shown { totp: body.totp.as_deref(), recovery_code: body.recovery_code.as_deref() };
    login.show_again(&client, &user, (body.password.as_deref(), shown)).await?;
    errand.run(async move { login.send_email_change(&user.id, &email).await });
    Ok((StatusCode::ACCEPTED, AuthStatus::new("check_your_mail")))
}

/// Takes the token of a link: its address is the account's now. Links that were sent to the one
/// before do not work any more.
#[utoipa::path(post, path = "/api/v1/auth/change-email", tag = "Login",
    operation_id = "change_email", request_body = ChangeEmailRequest, security(()),
    responses((status = 200, description = "It is", body = AuthStatus), Refusals))]
pub(crate) async fn confirm(
    State(login): State<Login>,
    Body(body): Body<ChangeEmailRequest>,
) -> Result<Json<AuthStatus>, ApiError> {
    login.change_email(&body.token).await?;
    Ok(AuthStatus::new("email_changed"))
}

impl Login {
    /// Gives an account the address that a token was sent to.
    pub(crate) async fn change_email(&self, text: &str) -> Result<(), ApiError> {
        let hash = token(Purpose::EmailChange, text)?;
        let errand = self.0.letters.errand()?;
        let now = seconds(UnixSeconds::now());
        let before = match self.0.store.change_email(&hash, PURPOSE, now).await {
            Err(StoreError::Exists { .. }) => {
                let message = "Another account has this address by now.";
                return Err(ApiError::refused(StatusCode::CONFLICT, "already_exists", message));
            }
            changed => changed?.ok_or_else(no_such_token)?,
        };
        let login = self.clone();
        errand.run(async move {
            let letters = &login.0.letters;
            letters.send(&before, &Letter::email_changed(&letters.site())?).await
        });
        Ok(())
    }

    async fn send_email_change(&self, user: &str, email: &str) -> Result<(), ErrandError> {
        let (store, letters) = (&self.0.store, &self.0.letters);
        if store.user_by_email(email).await?.is_some() {
            return self.send_has_account(email).await;
        }
        let lifetime = self.0.settings.verification_lifetime;
        let secret = Secret::random(Purpose::EmailChange);
        let end = seconds(UnixSeconds::now().after(lifetime));
        store.put_user_token(&secret.hash().to_hex(), user, PURPOSE, email, end).await?;
        let link = letters.page_with("change-email", &secret);
        letters.send(email, &Letter::email_change(&letters.site(), &link, lifetime)?).await
    }
}
