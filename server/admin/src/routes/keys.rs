//! `/api/v1/organization/projects/{project_id}/keys`: keys with scopes, limits and an end, and how
//! they are rotated.

use std::time::Duration;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use server_accounts::LimitsData;
use server_http::ApiError;
use server_store::{KeyUpdate, NewKey};

use super::project_keys::find;
use crate::Admin;
use crate::body::{Body, In};
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::owners::Owners;
use crate::query::Query;
use crate::who::Asker;
use crate::wire::DeletedObject;
use crate::wire::key::{KeyObject, KeyPatch, NewKeyRequest, RotateRequest};
use crate::wire::limits::{AccountLimitsObject, LimitsSchema};

/// A day.
const DEFAULT_OVERLAP: u64 = 24 * 3600;

pub(super) fn routes() -> Router<Admin> {
    let keys = "/api/v1/organization/projects/{project_id}/keys";
    let key = format!("{keys}/{{key_id}}");
    Router::new()
        .route(keys, get(list).post(create))
        .route(&key, get(retrieve).patch(modify).delete(delete))
        .route(&format!("{key}/rotate"), post(rotate))
        .route(&format!("{key}/limits"), get(limits).put(set_limits))
}

/// The keys of a project that were not revoked, in the order they were made in.
#[utoipa::path(get, path = "/api/v1/organization/projects/{project_id}/keys", tag = "Keys",
    operation_id = "list_keys",
    params(("project_id" = String, Path),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of them", body = ListOf<KeyObject>), Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
    In(project): In<String>,
    query: Query,
) -> Result<Json<ListOf<KeyObject>>, ApiError> {
    let paging = query.paging(false)?;
    admin.store.project(&asker.may_in(&project)?, &project).await?;
    let allowed = asker.may_in(&project)?;
    let page = admin.store.keys(&allowed, Some(&project), false, &paging.page).await?;
    let owners = Owners::find(&admin, &asker, &page.rows).await?;
    Ok(ListOf::page(page, &paging, |key| {
        let owner = owners.of(&key);
        KeyObject::new(key, owner, None)
    }))
}

/// Makes a key of a project; the answer has it, and no other has.
#[utoipa::path(post, path = "/api/v1/organization/projects/{project_id}/keys", tag = "Keys",
    operation_id = "create_key", params(("project_id" = String, Path)),
    request_body = NewKeyRequest,
    responses((status = 200, description = "It", body = KeyObject), Refusals))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    asker: Asker,
    In(project): In<String>,
    Body(request): Body<NewKeyRequest>,
) -> Result<Json<KeyObject>, ApiError> {
    let owner = match request.service_account_id {
        Some(id) => {
            let allowed = asker.may_in(&project)?;
            let account = admin.store.service_account(&allowed, &project, &id).await?;
            format!("service_account:{}", account.id)
        }
        None => "operator".to_owned(),
    };
    let new = NewKey {
        project: project.clone(),
        name: request.name,
        owner,
        scopes: request.scopes.unwrap_or_default(),
        limits: request.limits.unwrap_or_default(),
        expires_at: request.expires_at,
    };
    let (key, secret) = admin.store.create_key(&asker.may_in(&project)?, &new).await?;
    let owner = Owners::find(&admin, &asker, [&key]).await?.of(&key);
    Ok(Json(KeyObject::new(key, owner, Some(&secret))))
}

/// A key of a project.
#[utoipa::path(get, path = "/api/v1/organization/projects/{project_id}/keys/{key_id}",
    tag = "Keys", operation_id = "retrieve_key",
    params(("project_id" = String, Path), ("key_id" = String, Path)),
    responses((status = 200, description = "It", body = KeyObject), Refusals))]
pub(crate) async fn retrieve(
    State(admin): State<Admin>,
    asker: Asker,
    In((project, id)): In<(String, String)>,
) -> Result<Json<KeyObject>, ApiError> {
    let key = find(&admin, &asker, (&project, &id)).await?;
    let owner = Owners::find(&admin, &asker, [&key]).await?.of(&key);
    Ok(Json(KeyObject::new(key, owner, None)))
}

/// Changes a key's name, scopes or end.
#[utoipa::path(patch, path = "/api/v1/organization/projects/{project_id}/keys/{key_id}",
    tag = "Keys", operation_id = "modify_key",
    params(("project_id" = String, Path), ("key_id" = String, Path)), request_body = KeyPatch,
    responses((status = 200, description = "It", body = KeyObject), Refusals))]
pub(crate) async fn modify(
    State(admin): State<Admin>,
    asker: Asker,
    In((project, id)): In<(String, String)>,
    Body(patch): Body<KeyPatch>,
) -> Result<Json<KeyObject>, ApiError> {
    find(&admin, &asker, (&project, &id)).await?;
    let KeyPatch { name, scopes, expires_at } = patch;
    let update = KeyUpdate { name, scopes, expires_at };
    admin.store.update_key(&asker.may_in(&project)?, &id, &update).await?;
    retrieve(State(admin), asker, In((project, id))).await
}

/// Revokes a key.
#[utoipa::path(delete, path = "/api/v1/organization/projects/{project_id}/keys/{key_id}",
    tag = "Keys", operation_id = "delete_key",
    params(("project_id" = String, Path), ("key_id" = String, Path)),
    responses((status = 200, description = "It works no longer", body = DeletedObject),
        Refusals))]
pub(crate) async fn delete(
    state: State<Admin>,
    asker: Asker,
    ids: In<(String, String)>,
) -> Result<Json<DeletedObject>, ApiError> {
    super::project_keys::delete(state, asker, ids).await
}

/// Makes another secret of a key; the one until now works on until the overlap is over.
#[utoipa::path(post, path = "/api/v1/organization/projects/{project_id}/keys/{key_id}/rotate",
    tag = "Keys", operation_id = "rotate_key",
    params(("project_id" = String, Path), ("key_id" = String, Path)),
    request_body = RotateRequest,
    responses((status = 200, description = "The key with its new secret", body = KeyObject),
        Refusals))]
pub(crate) async fn rotate(
    State(admin): State<Admin>,
    asker: Asker,
    In((project, id)): In<(String, String)>,
    Body(request): Body<RotateRequest>,
) -> Result<Json<KeyObject>, ApiError> {
    find(&admin, &asker, (&project, &id)).await?;
    let overlap = Duration::from_secs(request.overlap_seconds.unwrap_or(DEFAULT_OVERLAP));
    let secret = admin.store.rotate_key(&asker.may_in(&project)?, &id, overlap).await?;
    let key = find(&admin, &asker, (&project, &id)).await?;
    let owner = Owners::find(&admin, &asker, [&key]).await?.of(&key);
    Ok(Json(KeyObject::new(key, owner, Some(&secret))))
}

/// Limits and budgets of a key.
#[utoipa::path(get, path = "/api/v1/organization/projects/{project_id}/keys/{key_id}/limits",
    tag = "Limits", operation_id = "retrieve_key_limits",
    params(("project_id" = String, Path), ("key_id" = String, Path)),
    responses((status = 200, description = "They", body = AccountLimitsObject), Refusals))]
pub(crate) async fn limits(
    State(admin): State<Admin>,
    asker: Asker,
    In((project, id)): In<(String, String)>,
) -> Result<Json<AccountLimitsObject>, ApiError> {
    let key = find(&admin, &asker, (&project, &id)).await?;
    Ok(AccountLimitsObject::new(key.id, key.limits))
}

/// Sets limits and budgets of a key, in place of those that it has.
#[utoipa::path(put, path = "/api/v1/organization/projects/{project_id}/keys/{key_id}/limits",
    tag = "Limits", operation_id = "set_key_limits",
    params(("project_id" = String, Path), ("key_id" = String, Path)),
    request_body = LimitsSchema,
    responses((status = 200, description = "They", body = AccountLimitsObject), Refusals))]
pub(crate) async fn set_limits(
    State(admin): State<Admin>,
    asker: Asker,
    In((project, id)): In<(String, String)>,
    Body(limits): Body<LimitsData>,
) -> Result<Json<AccountLimitsObject>, ApiError> {
    find(&admin, &asker, (&project, &id)).await?;
    admin.store.set_key_limits(&asker.may_in(&project)?, &id, &limits).await?;
    Ok(AccountLimitsObject::new(id, limits))
}
