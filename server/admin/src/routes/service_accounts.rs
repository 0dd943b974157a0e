//! `/v1/organization/projects/{project_id}/service_accounts`

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use server_http::ApiError;
use server_store::NewServiceAccount;

use crate::Admin;
use crate::body::{Body, In};
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::query::Query;
use crate::who::Asker;
use crate::wire::DeletedObject;
use crate::wire::people::{ServiceAccount, ServiceAccountRequest};

/// As OpenAI's.
const ROLE: &str = "member";

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/organization/projects/{project_id}/service_accounts", get(list).post(create))
        .route(
            "/v1/organization/projects/{project_id}/service_accounts/{service_account_id}",
            get(retrieve).delete(delete),
        )
}

/// The service accounts of a project, in the order they were made in.
#[utoipa::path(get, path = "/v1/organization/projects/{project_id}/service_accounts",
    tag = "People", operation_id = "list_service_accounts",
    params(("project_id" = String, Path),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of them", body = ListOf<ServiceAccount>),
        Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
    In(project): In<String>,
    query: Query,
) -> Result<Json<ListOf<ServiceAccount>>, ApiError> {
    let (paging, allowed) = (query.paging(false)?, asker.may_in(&project)?);
    admin.store.project(&asker.may_in(&project)?, &project).await?;
    let page = admin.store.service_accounts(&allowed, &project, &paging.page).await?;
    Ok(ListOf::page(page, &paging, |account| ServiceAccount::new(account, None)))
}

/// Makes a service account with a key; the answer has the key, and no other has.
#[utoipa::path(post, path = "/v1/organization/projects/{project_id}/service_accounts",
    tag = "People", operation_id = "create_service_account",
    params(("project_id" = String, Path)), request_body = ServiceAccountRequest,
    responses((status = 200, description = "It", body = ServiceAccount), Refusals))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    asker: Asker,
    In(project): In<String>,
    Body(request): Body<ServiceAccountRequest>,
) -> Result<Json<ServiceAccount>, ApiError> {
    let allowed = asker.may_in(&project)?;
    let new = NewServiceAccount { project, name: request.name, role: ROLE.to_owned() };
    let (account, key, secret) = admin.store.create_service_account(&allowed, &new).await?;
    Ok(Json(ServiceAccount::new(account, Some((key, secret)))))
}

/// A service account.
#[utoipa::path(get, tag = "People", operation_id = "retrieve_service_account",
    path = "/v1/organization/projects/{project_id}/service_accounts/{service_account_id}",
    params(("project_id" = String, Path), ("service_account_id" = String, Path)),
    responses((status = 200, description = "It", body = ServiceAccount), Refusals))]
pub(crate) async fn retrieve(
    State(admin): State<Admin>,
    asker: Asker,
    In((project, id)): In<(String, String)>,
) -> Result<Json<ServiceAccount>, ApiError> {
    let account = admin.store.service_account(&asker.may_in(&project)?, &project, &id).await?;
    Ok(Json(ServiceAccount::new(account, None)))
}

/// Removes a service account, whose keys work no longer.
#[utoipa::path(delete, tag = "People", operation_id = "delete_service_account",
    path = "/v1/organization/projects/{project_id}/service_accounts/{service_account_id}",
    params(("project_id" = String, Path), ("service_account_id" = String, Path)),
    responses((status = 200, description = "It is gone", body = DeletedObject), Refusals))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    asker: Asker,
    In((project, id)): In<(String, String)>,
) -> Result<Json<DeletedObject>, ApiError> {
    admin.store.delete_service_account(&asker.may_in(&project)?, &project, &id).await?;
    Ok(DeletedObject::new("organization.project.service_account.deleted", id))
}
