//! `/api/v1/me`

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use server_http::ApiError;
use server_identity::Password;

use crate::attempts::Client;
use crate::body::Body;
use crate::factors::Shown;
use crate::hashing::unfit;
use crate::openapi::Refusals;
use crate::routes::sign_up::name;
use crate::sessions::Standing;
use crate::who::{Anyone, Asker};
use crate::wire::me::{Me, MeUpdate, OwnOrganization, OwnOrganizations, ShownAgain};
use crate::wire::{All, AuthStatus};
use crate::{Login, cookie};

pub(super) fn routes() -> Router<Login> {
    Router::new()
        .route("/api/v1/me", get(retrieve).patch(modify).delete(delete))
        .route("/api/v1/me/export", get(export))
        .route("/api/v1/me/organizations", get(organizations))
}

/// Who is logged in.
#[utoipa::path(get, path = "/api/v1/me", tag = "Me", operation_id = "retrieve_me",
    responses((status = 200, description = "They", body = Me), Refusals))]
pub(crate) async fn retrieve(
    State(login): State<Login>,
    anyone: Anyone,
) -> Result<Json<Me>, ApiError> {
    let standing = login.standing(&anyone.user, anyone.session.two_factors).await?;
    Ok(Json(login.me(&anyone.user.id, &standing).await?))
}

/// Changes the name, or the password.
#[utoipa::path(patch, path = "/api/v1/me", tag = "Me", operation_id = "modify_me",
    request_body = MeUpdate,
    responses((status = 200, description = "They", body = Me), Refusals))]
pub(crate) async fn modify(
    State(login): State<Login>,
    Asker(Anyone { user, session, .. }, standing): Asker,
    client: Client,
    Body(body): Body<MeUpdate>,
) -> Result<Json<Me>, ApiError> {
    let new_name = body.name.as_deref().map(|it| name("name", it)).transpose()?;
    let store = &login.0.store;
    if let Some(password) = &body.password {
        if !user.has_password {
            let message = "You have no password: set the first one with a link, from \
                           /api/v1/auth/password/forgot.";
            return Err(ApiError::invalid(Some("password"), message));
        }
        let Some(current) = body.current_password.as_deref() else {
            return Err(ApiError::missing("current_password"));
        };
        let chosen = Password::chosen(password, &[&user.email, &user.name]);
        let chosen = chosen.map_err(|error| unfit("password", &error))?;
        let shown =
            Shown { totp: body.totp.as_deref(), recovery_code: body.recovery_code.as_deref() };
        login.show_again(&client, &user, (Some(current), shown)).await?;
        let hash = login.0.hashing.place()?.hash(chosen).await?;
        store.set_password(&user.id, &hash).await?;
        store.end_sessions(&user.id, Some(&session.id)).await?;
    }
    if let Some(name) = new_name {
        store.rename_user(&user.id, &name).await?;
    }
    Ok(Json(login.me(&user.id, &standing).await?))
}

/// Removes whoever is logged in, with all that is theirs alone. The last owner of an organization
/// that has other members stays.
#[utoipa::path(delete, path = "/api/v1/me", tag = "Me", operation_id = "delete_me",
    request_body = ShownAgain,
    responses((status = 200, description = "They are gone", body = AuthStatus), Refusals))]
pub(crate) async fn delete(
    State(login): State<Login>,
    Asker(Anyone { user, .. }, _): Asker,
    client: Client,
    Body(body): Body<ShownAgain>,
) -> Result<Response, ApiError> {
    let shown = Shown { totp: body.totp.as_deref(), recovery_code: body.recovery_code.as_deref() };
    login.show_again(&client, &user, (body.password.as_deref(), shown)).await?;
    login.0.store.delete_user(&user.id).await?;
    Ok((cookie::clear(cookie::SESSION), AuthStatus::new("deleted")).into_response())
}

/// All that is stored of whoever is logged in.
#[utoipa::path(get, path = "/api/v1/me/export", tag = "Me", operation_id = "export_me",
    responses((status = 200, description = "It, as one JSON object", body = Object), Refusals))]
pub(crate) async fn export(
    State(login): State<Login>,
    Asker(Anyone { user, .. }, _): Asker,
) -> Result<impl IntoResponse, ApiError> {
    let all = login.0.store.export_user(&user.id).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"account.json\""),
    ];
    Ok((headers, all))
}

/// The organizations that whoever is logged in belongs to.
#[utoipa::path(get, path = "/api/v1/me/organizations", tag = "Me",
    operation_id = "list_own_organizations",
    responses((status = 200, description = "Them", body = OwnOrganizations), Refusals))]
pub(crate) async fn organizations(Asker(_, standing): Asker) -> Json<All<OwnOrganization>> {
    All::new(standing.organizations.into_iter().map(Into::into).collect())
}

impl Login {
    async fn me(&self, id: &str, standing: &Standing) -> Result<Me, ApiError> {
        let store = &self.0.store;
        let user = store.user(id).await?;
        let codes = store.recovery_codes_left(id).await?;
        Ok(Me::new(user, codes, store.identities(id).await?, standing.due))
    }
}
