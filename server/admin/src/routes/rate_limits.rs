//! `/v1/organization/projects/{project_id}/rate_limits`

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use server_http::ApiError;

use crate::Admin;
use crate::body::{Body, In};
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::who::Asker;
use crate::wire::rate_limit::{ID, RateLimit, RateLimitRequest};

pub(super) fn routes() -> Router<Admin> {
    let path = "/v1/organization/projects/{project_id}/rate_limits";
    Router::new().route(path, get(list)).route(&format!("{path}/{{rate_limit_id}}"), post(modify))
}

/// The rate limit of a project.
#[utoipa::path(get, path = "/v1/organization/projects/{project_id}/rate_limits", tag = "Projects",
    operation_id = "list_rate_limits", params(("project_id" = String, Path)),
    responses((status = 200, description = "It alone", body = ListOf<RateLimit>), Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
    In(project): In<String>,
) -> Result<Json<ListOf<RateLimit>>, ApiError> {
    let project = admin.store.project(&asker.may_in(&project)?, &project).await?;
    Ok(ListOf::whole(vec![RateLimit::from(&project.limits)]))
}

/// Changes the rate limit of a project.
#[utoipa::path(post, tag = "Projects",
    path = "/v1/organization/projects/{project_id}/rate_limits/{rate_limit_id}",
    operation_id = "modify_rate_limit",
    params(("project_id" = String, Path), ("rate_limit_id" = String, Path)),
    request_body = RateLimitRequest,
    responses((status = 200, description = "It", body = RateLimit), Refusals))]
pub(crate) async fn modify(
    State(admin): State<Admin>,
    asker: Asker,
    In((project, id)): In<(String, String)>,
    Body(request): Body<RateLimitRequest>,
) -> Result<Json<RateLimit>, ApiError> {
    let limits = admin.store.project(&asker.may_in(&project)?, &project).await?.limits;
    if id != ID {
        let message = format!("There is one rate limit, '{ID}', of all models together.");
        return Err(ApiError::refused(StatusCode::NOT_FOUND, "not_found", message));
    }
    if let Some(name) = request.unsupported() {
        let message = format!(
            "'{name}' is not limited here: set quotas at /api/v1/organization/projects/ID/limits."
        );
        return Err(ApiError::invalid(Some(name), message));
    }
    let limits = request.applied(limits);
    admin.store.set_project_limits(&asker.may_in(&project)?, &project, &limits).await?;
    Ok(Json(RateLimit::from(&limits)))
}
