//! `/v1/organization/projects`

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use server_accounts::MAX_RETENTION_DAYS;
use server_http::ApiError;
use server_store::ProjectUpdate;

use crate::Admin;
use crate::body::{Body, In};
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::query::Query;
use crate::who::Asker;
use crate::wire::project::{Project, ProjectPatch, ProjectRequest};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/organization/projects", get(list).post(create))
        .route("/v1/organization/projects/{project_id}", get(retrieve).post(modify))
        .route("/v1/organization/projects/{project_id}/archive", post(archive))
}

/// The projects, in the order they were made in.
#[utoipa::path(get, path = "/v1/organization/projects", tag = "Projects",
    operation_id = "list_projects",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query), ("include_archived" = Option<bool>, Query)),
    responses((status = 200, description = "A page of them", body = ListOf<Project>), Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<ListOf<Project>>, ApiError> {
    let (paging, with_archived) = (query.paging(false)?, query.is_set("include_archived")?);
    let page = admin.store.projects(&asker.may()?, with_archived, &paging.page).await?;
    Ok(ListOf::page(page, &paging, Project::from))
}

/// Makes a project.
#[utoipa::path(post, path = "/v1/organization/projects", tag = "Projects",
    operation_id = "create_project", request_body = ProjectRequest,
    responses((status = 200, description = "It", body = Project), Refusals))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    asker: Asker,
    Body(request): Body<ProjectRequest>,
) -> Result<Json<Project>, ApiError> {
    let ProjectRequest { name, store_prompts, retention_days } = request;
    check_retention(retention_days)?;
    let made = admin.store.create_project(&asker.may()?, None, &name).await?;
    if store_prompts.is_none() && retention_days.is_none() {
        return Ok(Json(made.into()));
    }
    let said = (store_prompts.map(Some), retention_days.map(Some));
    let update =
        ProjectUpdate { store_prompts: said.0, retention_days: said.1, ..ProjectUpdate::default() };
    admin.store.update_project(&asker.may_in(&made.id)?, &made.id, &update).await?;
    retrieve(State(admin), asker, In(made.id)).await
}

/// A project.
#[utoipa::path(get, path = "/v1/organization/projects/{project_id}", tag = "Projects",
    operation_id = "retrieve_project", params(("project_id" = String, Path)),
    responses((status = 200, description = "It", body = Project), Refusals))]
pub(crate) async fn retrieve(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
) -> Result<Json<Project>, ApiError> {
    Ok(Json(admin.store.project(&asker.may_in(&id)?, &id).await?.into()))
}

/// Changes a project's name, and what it has stored of what people say.
#[utoipa::path(post, path = "/v1/organization/projects/{project_id}", tag = "Projects",
    operation_id = "modify_project", params(("project_id" = String, Path)),
    request_body = ProjectPatch,
    responses((status = 200, description = "It", body = Project), Refusals))]
pub(crate) async fn modify(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
    Body(patch): Body<ProjectPatch>,
) -> Result<Json<Project>, ApiError> {
    let ProjectPatch { name, store_prompts, retention_days } = patch;
    check_retention(retention_days.flatten())?;
    let update = ProjectUpdate { name, store_prompts, retention_days, ..ProjectUpdate::default() };
    admin.store.update_project(&asker.may_in(&id)?, &id, &update).await?;
    retrieve(State(admin), asker, In(id)).await
}

/// Ends a project; its keys work no longer.
#[utoipa::path(post, path = "/v1/organization/projects/{project_id}/archive", tag = "Projects",
    operation_id = "archive_project", params(("project_id" = String, Path)),
    responses((status = 200, description = "It", body = Project), Refusals))]
pub(crate) async fn archive(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
) -> Result<Json<Project>, ApiError> {
    admin.store.archive_project(&asker.may_in(&id)?, &id).await?;
    retrieve(State(admin), asker, In(id)).await
}

/// Before anything is made or changed.
fn check_retention(days: Option<u32>) -> Result<(), ApiError> {
    if days.is_none_or(|days| (1..=MAX_RETENTION_DAYS).contains(&days)) {
        return Ok(());
    }
    let message = format!("'retention_days' is 1 to {MAX_RETENTION_DAYS}.");
    Err(ApiError::invalid(Some("retention_days"), message))
}
