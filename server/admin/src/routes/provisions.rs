//! `/api/v1/organization/provisions`, and commitments: what is billed by the clock.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use server_http::ApiError;
use server_store::NewProvision;

use crate::Admin;
use crate::body::{Body, In};
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::query::Query;
use crate::who::Asker;
use crate::wire::provision::{CommitmentObject, ProvisionObject, ProvisionRequest};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/api/v1/organization/provisions", get(list))
        .route("/api/v1/organization/provisions/{provision_id}/end", post(end))
        .route("/api/v1/organization/projects/{project_id}/provisions", post(create))
        .route("/api/v1/organization/commitments", get(commitments))
}

/// Throughput that is held ready for projects, and that which was.
#[utoipa::path(get, path = "/api/v1/organization/provisions", tag = "Usage",
    operation_id = "list_provisions",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of it", body = ListOf<ProvisionObject>),
        Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<ListOf<ProvisionObject>>, ApiError> {
    let paging = query.paging(false)?;
    let page = admin.store.provisions(&asker.may()?, &paging.page).await?;
    Ok(ListOf::page(page, &paging, ProvisionObject::from))
}

/// Has throughput held ready for a project, which is billed for each hour.
#[utoipa::path(post, path = "/api/v1/organization/projects/{project_id}/provisions",
    tag = "Usage", operation_id = "create_provision", request_body = ProvisionRequest,
    params(("project_id" = String, Path)),
    responses((status = 200, description = "It", body = ProvisionObject), Refusals))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    asker: Asker,
    In(project): In<String>,
    Body(request): Body<ProvisionRequest>,
) -> Result<Json<ProvisionObject>, ApiError> {
    let millis = |secs: i64| secs.saturating_mul(1000);
    let new = NewProvision {
        project: &project,
        model: &request.model,
        units: request.units,
        from: request.starts_at.map(millis),
        until: request.expires_at.map(millis),
    };
    Ok(Json(admin.store.create_provision(&asker.may()?, &new).await?.into()))
}

/// Ends one with the present hour, which is billed yet.
#[utoipa::path(post, path = "/api/v1/organization/provisions/{provision_id}/end",
    tag = "Usage", operation_id = "end_provision", params(("provision_id" = String, Path)),
    responses((status = 200, description = "It", body = ProvisionObject), Refusals))]
pub(crate) async fn end(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
) -> Result<Json<ProvisionObject>, ApiError> {
    Ok(Json(admin.store.end_provision(&asker.may()?, &id).await?.into()))
}

/// What is paid at least for each month, as the operator set it.
#[utoipa::path(get, path = "/api/v1/organization/commitments", tag = "Usage",
    operation_id = "list_commitments",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of it", body = ListOf<CommitmentObject>),
        Refusals))]
pub(crate) async fn commitments(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<ListOf<CommitmentObject>>, ApiError> {
    let paging = query.paging(false)?;
    let page = admin.store.commitments(&asker.may()?, &paging.page).await?;
    let currency = admin.store.currency().await?;
    Ok(ListOf::page(page, &paging, |it| CommitmentObject::new(it, currency.code())))
}
