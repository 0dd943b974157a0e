//! `/api/v1/organization/limits`, and those of projects and keys.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use server_accounts::LimitsData;
use server_http::ApiError;

use crate::Admin;
use crate::body::{Body, In};
use crate::openapi::Refusals;
use crate::who::Asker;
use crate::wire::limits::{AccountLimitsObject, LimitsSchema};

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/api/v1/organization/limits", get(of_organization)).route(
        "/api/v1/organization/projects/{project_id}/limits",
        get(of_project).put(set_of_project),
    )
}

/// Limits and budgets of the whole organization, which the operator sets.
#[utoipa::path(get, path = "/api/v1/organization/limits", tag = "Limits",
    operation_id = "retrieve_organization_limits",
    responses((status = 200, description = "They", body = AccountLimitsObject), Refusals))]
pub(crate) async fn of_organization(
    State(admin): State<Admin>,
    asker: Asker,
) -> Result<Json<AccountLimitsObject>, ApiError> {
    let organization = admin.store.organization(&asker.may()?).await?;
    Ok(AccountLimitsObject::new(organization.id, organization.limits))
}

/// Limits and budgets of a project.
#[utoipa::path(get, path = "/api/v1/organization/projects/{project_id}/limits", tag = "Limits",
    operation_id = "retrieve_project_limits", params(("project_id" = String, Path)),
    responses((status = 200, description = "They", body = AccountLimitsObject), Refusals))]
pub(crate) async fn of_project(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
) -> Result<Json<AccountLimitsObject>, ApiError> {
    let project = admin.store.project(&asker.may_in(&id)?, &id).await?;
    Ok(AccountLimitsObject::new(project.id, project.limits))
}

/// Sets limits and budgets of a project, in place of those that it has.
#[utoipa::path(put, path = "/api/v1/organization/projects/{project_id}/limits", tag = "Limits",
    operation_id = "set_project_limits", params(("project_id" = String, Path)),
    request_body = LimitsSchema,
    responses((status = 200, description = "They", body = AccountLimitsObject), Refusals))]
pub(crate) async fn set_of_project(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
    Body(limits): Body<LimitsData>,
) -> Result<Json<AccountLimitsObject>, ApiError> {
    admin.store.set_project_limits(&asker.may_in(&id)?, &id, &limits).await?;
    Ok(AccountLimitsObject::new(id, limits))
}
