//! `/api/v1/me/totp`

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use server_http::ApiError;
use server_identity::{RecoveryCode, TotpSecret};
use server_store::StoreError;

use crate::Login;
use crate::attempts::Client;
use crate::body::Body;
use crate::factors::{Shown, wrong_factor};
use crate::openapi::Refusals;
use crate::who::{Anyone, Asker};
use crate::wire::AuthStatus;
use crate::wire::me::{RecoveryCodes, ShownAgain, TotpConfirmation, TotpSetup};

pub(super) fn routes() -> Router<Login> {
    Router::new()
        .route("/api/v1/me/totp", post(begin).delete(remove))
        .route("/api/v1/me/totp/confirm", post(confirm))
        .route("/api/v1/me/recovery-codes", post(replace_codes))
}

/// Makes a second factor, which is asked for when it was confirmed.
#[utoipa::path(post, path = "/api/v1/me/totp", tag = "Me", operation_id = "begin_totp",
    responses((status = 200, description = "It", body = TotpSetup), Refusals))]
pub(crate) async fn begin(
    State(login): State<Login>,
    Anyone { user, .. }: Anyone,
) -> Result<Json<TotpSetup>, ApiError> {
    let secret = TotpSecret::random();
    let base32 = secret.to_base32();
    match login.0.store.begin_totp(&user.id, &base32).await {
        Err(StoreError::Exists { .. }) => return Err(has_factor()),
        begun => begun?,
    }
    let uri = secret.uri(&login.0.settings.site_name, &user.email);
    let setup = TotpSetup { object: "auth.totp", secret: base32, uri };
    Ok(Json(setup))
}

/// Confirms the second factor with a code of it. All other sessions end.
#[utoipa::path(post, path = "/api/v1/me/totp/confirm", tag = "Me", operation_id = "confirm_totp",
    request_body = TotpConfirmation,
    responses((status = 200, description = "It is in force", body = RecoveryCodes), Refusals))]
pub(crate) async fn confirm(
    State(login): State<Login>,
    Anyone { user, session, .. }: Anyone,
    Body(body): Body<TotpConfirmation>,
) -> Result<Json<RecoveryCodes>, ApiError> {
    let store = &login.0.store;
    if user.totp_enabled_at.is_some() {
        let message = "The second factor was confirmed already.";
        return Err(ApiError::invalid(None, message));
    }
    let step = login.step_of(&user, &body.code).await?.ok_or_else(wrong_factor)?;
    let (codes, hashes) = random_codes();
    store.enable_totp(&user.id, step, &hashes).await?;
    store.raise_session(&session.id).await?;
    store.end_sessions(&user.id, Some(&session.id)).await?;
    Ok(RecoveryCodes::new(&codes))
}

/// Makes other recovery codes for who shows the password and a code once more. Those of before,
/// used or not, are good for nothing any more.
#[utoipa::path(post, path = "/api/v1/me/recovery-codes", tag = "Me",
    operation_id = "replace_recovery_codes", request_body = ShownAgain,
    responses((status = 200, description = "They", body = RecoveryCodes), Refusals))]
pub(crate) async fn replace_codes(
    State(login): State<Login>,
    Asker(Anyone { user, .. }, _): Asker,
    client: Client,
    Body(body): Body<ShownAgain>,
) -> Result<Json<RecoveryCodes>, ApiError> {
    if user.totp_enabled_at.is_none() {
        return Err(no_factor());
    }
    let shown = Shown { totp: body.totp.as_deref(), recovery_code: body.recovery_code.as_deref() };
    login.show_again(&client, &user, (body.password.as_deref(), shown)).await?;
    let (codes, hashes) = random_codes();
    login.0.store.replace_recovery_codes(&user.id, &hashes).await?;
    Ok(RecoveryCodes::new(&codes))
}

/// A set of codes, and as they are stored.
fn random_codes() -> (Vec<RecoveryCode>, Vec<String>) {
    let codes = Vec::from(RecoveryCode::random_set());
    let hashes = codes.iter().map(|code| code.hash().to_hex()).collect();
    (codes, hashes)
}

fn has_factor() -> ApiError {
    let message = "You have a second factor already: to set up another one, remove it first with \
        DELETE /api/v1/me/totp, by a code of it or a recovery code.";
    ApiError::refused(StatusCode::CONFLICT, "already_exists", message)
}

fn no_factor() -> ApiError {
    ApiError::invalid(None, "You have no second factor: set one up, at /api/v1/me/totp.")
}

/// Removes the second factor of who shows the password and a code once more.
#[utoipa::path(delete, path = "/api/v1/me/totp", tag = "Me", operation_id = "remove_totp",
    request_body = ShownAgain,
    responses((status = 200, description = "It is gone", body = AuthStatus), Refusals))]
pub(crate) async fn remove(
    State(login): State<Login>,
    Asker(asker, standing): Asker,
    client: Client,
    Body(body): Body<ShownAgain>,
) -> Result<Json<AuthStatus>, ApiError> {
    let user = asker.user;
    if user.totp_enabled_at.is_none() {
        return Err(no_factor());
    }
    if let Some(organization) = standing.organizations.iter().find(|it| it.requires_two_factors) {
        let message = format!("The organization '{}' requires it.", organization.id);
        return Err(ApiError::refused(StatusCode::FORBIDDEN, "second_factor_required", message));
    }
    let shown = Shown { totp: body.totp.as_deref(), recovery_code: body.recovery_code.as_deref() };
    login.show_again(&client, &user, (body.password.as_deref(), shown)).await?;
    login.0.store.disable_totp(&user.id).await?;
    Ok(AuthStatus::new("removed"))
}
