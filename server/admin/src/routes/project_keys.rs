//! `/v1/organization/projects/{project_id}/api_keys`

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use server_accounts::may;
use server_http::ApiError;
use server_store::{Key, StoreError};

use crate::Admin;
use crate::body::In;
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::owners::Owners;
use crate::query::Query;
use crate::who::Asker;
use crate::wire::DeletedObject;
use crate::wire::key::ProjectApiKey;

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/v1/organization/projects/{project_id}/api_keys", get(list)).route(
        "/v1/organization/projects/{project_id}/api_keys/{key_id}",
        get(retrieve).delete(delete),
    )
}

/// The keys of a project that were not revoked, in the order they were made in.
#[utoipa::path(get, path = "/v1/organization/projects/{project_id}/api_keys", tag = "Keys",
    operation_id = "list_project_api_keys",
    params(("project_id" = String, Path),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of them", body = ListOf<ProjectApiKey>),
        Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
    In(project): In<String>,
    query: Query,
) -> Result<Json<ListOf<ProjectApiKey>>, ApiError> {
    let paging = query.paging(false)?;
    admin.store.project(&asker.may_in(&project)?, &project).await?;
    let allowed = asker.may_in(&project)?;
    let page = admin.store.keys(&allowed, Some(&project), false, &paging.page).await?;
    let owners = Owners::find(&admin, &asker, &page.rows).await?;
    Ok(ListOf::page(page, &paging, |key| {
        let owner = owners.of(&key);
        ProjectApiKey::new(key, owner)
    }))
}

/// A key of a project.
#[utoipa::path(get, path = "/v1/organization/projects/{project_id}/api_keys/{key_id}",
    tag = "Keys", operation_id = "retrieve_project_api_key",
    params(("project_id" = String, Path), ("key_id" = String, Path)),
    responses((status = 200, description = "It", body = ProjectApiKey), Refusals))]
pub(crate) async fn retrieve(
    State(admin): State<Admin>,
    asker: Asker,
    In((project, id)): In<(String, String)>,
) -> Result<Json<ProjectApiKey>, ApiError> {
    let key = find(&admin, &asker, (&project, &id)).await?;
    let owner = Owners::find(&admin, &asker, [&key]).await?.of(&key);
    Ok(Json(ProjectApiKey::new(key, owner)))
}

/// Revokes a key of a project.
#[utoipa::path(delete, path = "/v1/organization/projects/{project_id}/api_keys/{key_id}",
    tag = "Keys", operation_id = "delete_project_api_key",
    params(("project_id" = String, Path), ("key_id" = String, Path)),
    responses((status = 200, description = "It works no longer", body = DeletedObject),
        Refusals))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    asker: Asker,
    In((project, id)): In<(String, String)>,
) -> Result<Json<DeletedObject>, ApiError> {
    find(&admin, &asker, (&project, &id)).await?;
    admin.store.revoke_key(&asker.may_in(&project)?, &id).await?;
    Ok(DeletedObject::new("organization.project.api_key.deleted", id))
}

/// A key of this project that was not revoked.
pub(super) async fn find(
    admin: &Admin,
    asker: &Asker,
    (project, id): (&str, &str),
) -> Result<Key, ApiError> {
    let key = admin.store.key(&asker.may_in::<may::ReadKeys>(project)?, id).await?;
    if key.project != project || key.revoked_at.is_some() {
        return Err(StoreError::NotFound { what: "key", id: id.to_owned() }.into());
    }
    Ok(key)
}
