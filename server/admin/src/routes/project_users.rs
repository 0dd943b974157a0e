//! `/v1/organization/projects/{project_id}/users`

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use server_http::ApiError;

use crate::Admin;
use crate::body::{Body, In};
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::query::Query;
use crate::who::Asker;
use crate::wire::DeletedObject;
use crate::wire::people::{AccountUser, ProjectUserRequest, RoleChange};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/organization/projects/{project_id}/users", get(list).post(create))
        .route(
            "/v1/organization/projects/{project_id}/users/{user_id}",
            get(retrieve).post(modify).delete(delete),
        )
}

/// Who has a role in a project, in the order they came in.
#[utoipa::path(get, path = "/v1/organization/projects/{project_id}/users", tag = "People",
    operation_id = "list_project_users",
    params(("project_id" = String, Path),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of them", body = ListOf<AccountUser>),
        Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
    In(project): In<String>,
    query: Query,
) -> Result<Json<ListOf<AccountUser>>, ApiError> {
    let (paging, allowed) = (query.paging(false)?, asker.may_in(&project)?);
    admin.store.project(&asker.may_in(&project)?, &project).await?;
    let page = admin.store.project_members(&allowed, &project, &paging.page).await?;
    Ok(ListOf::page(page, &paging, AccountUser::from))
}

/// Gives a member of the organization a role in a project.
#[utoipa::path(post, path = "/v1/organization/projects/{project_id}/users", tag = "People",
    operation_id = "create_project_user", params(("project_id" = String, Path)),
    request_body = ProjectUserRequest,
    responses((status = 200, description = "It", body = AccountUser), Refusals))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    asker: Asker,
    In(project): In<String>,
    Body(request): Body<ProjectUserRequest>,
) -> Result<Json<AccountUser>, ApiError> {
    let (allowed, ProjectUserRequest { user_id, role }) = (asker.may_in(&project)?, request);
    let member = admin.store.add_project_member(&allowed, &project, &user_id, &role).await?;
    Ok(Json(member.into()))
}

/// Somebody who has a role in a project.
#[utoipa::path(get, path = "/v1/organization/projects/{project_id}/users/{user_id}",
    tag = "People", operation_id = "retrieve_project_user",
    params(("project_id" = String, Path), ("user_id" = String, Path)),
    responses((status = 200, description = "It", body = AccountUser), Refusals))]
pub(crate) async fn retrieve(
    State(admin): State<Admin>,
    asker: Asker,
    In((project, id)): In<(String, String)>,
) -> Result<Json<AccountUser>, ApiError> {
    let allowed = asker.may_in(&project)?;
    Ok(Json(admin.store.project_member(&allowed, &project, &id).await?.into()))
}

/// Gives somebody another role in a project.
#[utoipa::path(post, path = "/v1/organization/projects/{project_id}/users/{user_id}",
    tag = "People", operation_id = "modify_project_user",
    params(("project_id" = String, Path), ("user_id" = String, Path)),
    request_body = RoleChange,
    responses((status = 200, description = "It", body = AccountUser), Refusals))]
pub(crate) async fn modify(
    State(admin): State<Admin>,
    asker: Asker,
    In((project, id)): In<(String, String)>,
    Body(change): Body<RoleChange>,
) -> Result<Json<AccountUser>, ApiError> {
    let (allowed, role) = (asker.may_in(&project)?, change.role);
    let member = admin.store.set_project_member_role(&allowed, &project, &id, &role).await?;
    Ok(Json(member.into()))
}

/// Takes a role in a project away.
#[utoipa::path(delete, path = "/v1/organization/projects/{project_id}/users/{user_id}",
    tag = "People", operation_id = "delete_project_user",
    params(("project_id" = String, Path), ("user_id" = String, Path)),
    responses((status = 200, description = "It is gone", body = DeletedObject), Refusals))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    asker: Asker,
    In((project, id)): In<(String, String)>,
) -> Result<Json<DeletedObject>, ApiError> {
    admin.store.remove_project_member(&asker.may_in(&project)?, &project, &id).await?;
    Ok(DeletedObject::new("organization.project.user.deleted", id))
}
