//! `/api/v1/organization/roles`

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use server_accounts::Role;
use server_http::ApiError;

use crate::Admin;
use crate::body::{Body, In};
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::who::Asker;
use crate::wire::DeletedObject;
use crate::wire::people::{RoleObject, RoleRequest};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/api/v1/organization/roles", get(list).post(create))
        .route("/api/v1/organization/roles/{role_id}", get(retrieve).delete(delete))
}

/// All roles: the usual ones, the mightiest first, and the organization's own.
#[utoipa::path(get, path = "/api/v1/organization/roles", tag = "People",
    operation_id = "list_roles",
    responses((status = 200, description = "They", body = ListOf<RoleObject>), Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
) -> Result<Json<ListOf<RoleObject>>, ApiError> {
    let roles = admin.store.roles(&asker.may()?).await?;
    Ok(ListOf::whole(roles.into_iter().map(RoleObject::from).collect()))
}

/// Makes a role, which may no more than whoever makes it.
#[utoipa::path(post, path = "/api/v1/organization/roles", tag = "People",
    operation_id = "create_role", request_body = RoleRequest,
    responses((status = 200, description = "It", body = RoleObject), Refusals))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    asker: Asker,
    Body(request): Body<RoleRequest>,
) -> Result<Json<RoleObject>, ApiError> {
    let allowed = asker.may()?;
    let role = Role::custom(&request.name, request.permissions.iter().map(String::as_str));
    let role = role.map_err(|error| ApiError::invalid(None, format!("{error}.")))?;
    admin.store.create_role(&allowed, &role).await?;
    Ok(Json(role.into()))
}

/// A role.
#[utoipa::path(get, path = "/api/v1/organization/roles/{role_id}", tag = "People",
    operation_id = "retrieve_role", params(("role_id" = String, Path)),
    responses((status = 200, description = "It", body = RoleObject), Refusals))]
pub(crate) async fn retrieve(
    State(admin): State<Admin>,
    asker: Asker,
    In(name): In<String>,
) -> Result<Json<RoleObject>, ApiError> {
    Ok(Json(admin.store.role(&asker.may()?, &name).await?.into()))
}

/// Removes a role that nobody has.
#[utoipa::path(delete, path = "/api/v1/organization/roles/{role_id}", tag = "People",
    operation_id = "delete_role", params(("role_id" = String, Path)),
    responses((status = 200, description = "It is gone", body = DeletedObject), Refusals))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    asker: Asker,
    In(name): In<String>,
) -> Result<Json<DeletedObject>, ApiError> {
    admin.store.delete_role(&asker.may()?, &name).await?;
    Ok(DeletedObject::new("role.deleted", name))
}
