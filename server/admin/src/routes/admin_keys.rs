//! `/v1/organization/admin_api_keys`

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use server_accounts::Role;
use server_http::{ApiError, unix_time};
use server_store::{Key, NewAdminKey, StoreError};

use crate::Admin;
use crate::body::{Body, In};
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::query::Query;
use crate::who::{Asker, denied};
use crate::wire::DeletedObject;
use crate::wire::key::{AdminApiKey, AdminApiKeyRequest};

/// As OpenAI's.
const MAX_SECONDS: i64 = 31_536_000;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/organization/admin_api_keys", get(list).post(create))
        .route("/v1/organization/admin_api_keys/{key_id}", get(retrieve).delete(delete))
}

/// The organization's own keys that were not revoked.
#[utoipa::path(get, path = "/v1/organization/admin_api_keys", tag = "Keys",
    operation_id = "list_admin_api_keys",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("order" = Option<String>, Query, description = "`asc` (the default) or `desc`"),
        ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of them", body = ListOf<AdminApiKey>),
        Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<ListOf<AdminApiKey>>, ApiError> {
    let paging = query.paging(false)?;
    let page = admin.store.admin_keys(&asker.may()?, &paging.page).await?;
    Ok(ListOf::page(page, &paging, |key| AdminApiKey::new(key, None)))
}

/// Makes a key of the organization itself, for no more endpoints and networks than the key that
/// asks; the answer has it, and no other has.
#[utoipa::path(post, path = "/v1/organization/admin_api_keys", tag = "Keys",
    operation_id = "create_admin_api_key", request_body = AdminApiKeyRequest,
    responses((status = 200, description = "It", body = AdminApiKey), Refusals))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    asker: Asker,
    Body(request): Body<AdminApiKeyRequest>,
) -> Result<Json<AdminApiKey>, ApiError> {
    let expires_at = match request.expires_in_seconds {
        None => None,
        Some(seconds @ 1..=MAX_SECONDS) => Some(unix_time() + seconds),
        Some(_) => {
            let message = format!("'expires_in_seconds' is 1 to {MAX_SECONDS}.");
            return Err(ApiError::invalid(Some("expires_in_seconds"), message));
        }
    };
    let allowed = asker.may()?;
    let role = match request.role {
        None => asker.role().to_owned(),
        Some(name) => {
            let role = find_role(&admin, &asker, &name).await?;
            let role = role.ok_or(StoreError::NotFound { what: "role", id: name })?;
            allowed.may_give(&role).map_err(denied)?;
            role.name
        }
    };
    let (owner, scopes) = (asker.owner(&admin).await?, asker.scopes().clone());
    let new = NewAdminKey { name: request.name, owner, role, scopes, expires_at };
    let (key, secret) = admin.store.create_admin_key(&allowed, &new).await?;
    Ok(Json(AdminApiKey::new(key, Some(&secret))))
}

/// A key of the organization itself.
#[utoipa::path(get, path = "/v1/organization/admin_api_keys/{key_id}", tag = "Keys",
    operation_id = "retrieve_admin_api_key", params(("key_id" = String, Path)),
    responses((status = 200, description = "It", body = AdminApiKey), Refusals))]
pub(crate) async fn retrieve(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
) -> Result<Json<AdminApiKey>, ApiError> {
    Ok(Json(AdminApiKey::new(find(&admin, &asker, &id).await?, None)))
}

/// Revokes a key of the organization itself, which may no more than the key that asks.
#[utoipa::path(delete, path = "/v1/organization/admin_api_keys/{key_id}", tag = "Keys",
    operation_id = "delete_admin_api_key", params(("key_id" = String, Path)),
    responses((status = 200, description = "It works no longer", body = DeletedObject),
        Refusals))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
) -> Result<Json<DeletedObject>, ApiError> {
    let (key, allowed) = (find(&admin, &asker, &id).await?, asker.may()?);
    if key.role != asker.role()
        && let Some(role) = find_role(&admin, &asker, &key.role).await?
    {
        allowed.may_give(&role).map_err(denied)?;
    }
    admin.store.revoke_admin_key(&allowed, &id).await?;
    Ok(DeletedObject::new("organization.admin_api_key.deleted", id))
}

/// A role, if there is one of that name: of the organization's own, those who may see members know.
async fn find_role(admin: &Admin, asker: &Asker, name: &str) -> Result<Option<Role>, ApiError> {
    if let Some(role) = Role::find_usual(name) {
        return Ok(Some(role));
    }
    match admin.store.role(&asker.may()?, name).await {
        Ok(role) => Ok(Some(role)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A key that was not revoked.
async fn find(admin: &Admin, asker: &Asker, id: &str) -> Result<Key, ApiError> {
    let key = admin.store.admin_key(&asker.may()?, id).await?;
    if key.revoked_at.is_some() {
        return Err(StoreError::NotFound { what: "key", id: id.to_owned() }.into());
    }
    Ok(key)
}
