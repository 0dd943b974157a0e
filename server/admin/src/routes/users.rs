//! `/v1/organization/users`

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use server_http::ApiError;

use crate::Admin;
use crate::body::{Body, In};
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::query::Query;
use crate::roles::in_organization;
use crate::who::Asker;
use crate::wire::DeletedObject;
use crate::wire::people::{AccountUser, RoleChange};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/organization/users", get(list))
        .route("/v1/organization/users/{user_id}", get(retrieve).post(modify).delete(delete))
}

/// The members of the organization, in the order they came in.
#[utoipa::path(get, path = "/v1/organization/users", tag = "People", operation_id = "list_users",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of them", body = ListOf<AccountUser>),
        Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<ListOf<AccountUser>>, ApiError> {
    let paging = query.paging(false)?;
    let page = admin.store.members(&asker.may()?, &paging.page).await?;
    Ok(ListOf::page(page, &paging, AccountUser::from))
}

/// A member of the organization.
#[utoipa::path(get, path = "/v1/organization/users/{user_id}", tag = "People",
    operation_id = "retrieve_user", params(("user_id" = String, Path)),
    responses((status = 200, description = "It", body = AccountUser), Refusals))]
pub(crate) async fn retrieve(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
) -> Result<Json<AccountUser>, ApiError> {
    Ok(Json(admin.store.member(&asker.may()?, &id).await?.into()))
}

/// Gives a member another role.
#[utoipa::path(post, path = "/v1/organization/users/{user_id}", tag = "People",
    operation_id = "modify_user", params(("user_id" = String, Path)), request_body = RoleChange,
    responses((status = 200, description = "It", body = AccountUser), Refusals))]
pub(crate) async fn modify(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
    Body(change): Body<RoleChange>,
) -> Result<Json<AccountUser>, ApiError> {
    let role = in_organization(&change.role);
    Ok(Json(admin.store.set_member_role(&asker.may()?, &id, role).await?.into()))
}

/// Removes a member, whose keys work no longer.
#[utoipa::path(delete, path = "/v1/organization/users/{user_id}", tag = "People",
    operation_id = "delete_user", params(("user_id" = String, Path)),
    responses((status = 200, description = "It is no member", body = DeletedObject), Refusals))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
) -> Result<Json<DeletedObject>, ApiError> {
    admin.store.remove_member(&asker.may()?, &id).await?;
    Ok(DeletedObject::new("organization.user.deleted", id))
}
