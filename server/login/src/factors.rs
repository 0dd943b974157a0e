//! What somebody shows once more: a password, a code by time, a recovery code.
//!
//! Invariant: each showing counts as an attempt to log in, and a code is taken once.

use axum::http::StatusCode;
use server_http::ApiError;
use server_identity::{Password, RecoveryCode, TotpSecret, TotpStep, UnixSeconds};
use server_store::User;

use crate::Login;
use crate::attempts::Client;
use crate::hashing::unfit;

/// Codes that were sent; one of them is enough.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) totp: Option<&'a str>,
    pub(crate) recovery_code: Option<&'a str>,
}

impl Shown<'_> {
    pub(crate) fn is_none(&self) -> bool {
        self.totp.is_none() && self.recovery_code.is_none()
    }
}

impl Login {
    /// The password and, where the user has one in force, the second factor of whoever is logged
    /// in, shown once more.
    ///
    /// # Errors
    /// 400 if one is missing, 401 if one is wrong, 429 after too many attempts.
    pub(crate) async fn show_again(
        &self,
        client: &Client,
        user: &User,
        (password, shown): (Option<&str>, Shown<'_>),
    ) -> Result<(), ApiError> {
        let has_factor = user.totp_enabled_at.is_some();
        if has_factor && shown.is_none() {
            return Err(ApiError::missing("totp"));
        }
        match password {
            None if user.has_password => return Err(ApiError::missing("password")),
            Some(password) if user.has_password => {
                let typed = Password::typed(password).map_err(|it| unfit("password", &it))?;
                let place = self.0.hashing.place()?;
                self.begin_attempt(client, &user.email).await?;
                let stored = self.0.store.login_of(&user.email).await?;
                let stored = stored.and_then(|stored| stored.password);
                if !place.verify(typed, stored).await? {
                    return Err(wrong_password());
                }
            }
            _ => self.begin_attempt(client, &user.email).await?,
        }
        if has_factor && !self.take_factor(user, shown).await? {
            return Err(wrong_factor());
        }
        self.succeeded(client, &user.email).await
    }

    /// Whether a code is the user's, and was not taken before.
    pub(crate) async fn take_factor(
        &self,
        user: &User,
        shown: Shown<'_>,
    ) -> Result<bool, ApiError> {
        if let Some(code) = shown.totp {
            return match self.step_of(user, code).await? {
                None => Ok(false),
                Some(step) => Ok(self.0.store.take_totp_step(&user.id, step).await?),
            };
        }
        let code = shown.recovery_code.and_then(RecoveryCode::parse);
        let Some(code) = code else { return Ok(false) };
        Ok(self.0.store.take_recovery_code(&user.id, &code.hash().to_hex()).await?)
    }

    /// The step that a code of the user's secret is of, whether it is in force or not.
    pub(crate) async fn step_of(&self, user: &User, code: &str) -> Result<Option<i64>, ApiError> {
        let Some(stored) = self.0.store.login_of(&user.email).await? else { return Ok(None) };
        let Some(secret) = stored.totp_secret else { return Ok(None) };
        let secret = TotpSecret::from_base32(&secret).map_err(|error| {
            tracing::error!(user = user.id, %error, "a second factor cannot be checked");
            ApiError::internal()
        })?;
        let last = stored.totp_step.and_then(|step| u64::try_from(step).ok()).map(TotpStep);
        let step = secret.check(code, UnixSeconds::now(), last);
        Ok(step.and_then(|TotpStep(step)| i64::try_from(step).ok()))
    }
}

/// Of whoever is logged in.
fn wrong_password() -> ApiError {
    let message = "The password is wrong.";
    ApiError::refused(StatusCode::UNAUTHORIZED, "invalid_credentials", message)
}

/// It is told only to who knows the password.
pub(crate) fn wrong_factor() -> ApiError {
    let message = "The code is wrong, or was used: wait for the next one.";
    ApiError::refused(StatusCode::UNAUTHORIZED, "invalid_second_factor", message)
}
