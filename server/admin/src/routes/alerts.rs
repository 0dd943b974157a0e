//! `/api/v1/organization/alerts`: whom to tell how much of a limit is used.

use axum::extract::State;
use axum::routing::{delete as ending, get};
use axum::{Json, Router};
use server_http::ApiError;

use crate::Admin;
use crate::body::{Body, In};
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::query::Query;
use crate::who::Asker;
use crate::wire::DeletedObject;
use crate::wire::alert::{AlertObject, AlertRequest};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/api/v1/organization/alerts", get(list).post(create))
        .route("/api/v1/organization/alerts/{alert_id}", ending(delete))
}

/// Who is told when so much of a limit is used.
#[utoipa::path(get, path = "/api/v1/organization/alerts", tag = "Alerts",
    operation_id = "list_alerts",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of them", body = ListOf<AlertObject>),
        Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<ListOf<AlertObject>>, ApiError> {
    let paging = query.paging(false)?;
    let page = admin.store.alerts(&asker.may()?, &paging.page).await?;
    Ok(ListOf::page(page, &paging, AlertObject::from))
}

/// Has it told when so much of a budget or a quota is used.
#[utoipa::path(post, path = "/api/v1/organization/alerts", tag = "Alerts",
    operation_id = "create_alert", request_body = AlertRequest,
    responses((status = 200, description = "It", body = AlertObject), Refusals))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    asker: Asker,
    Body(request): Body<AlertRequest>,
) -> Result<Json<AlertObject>, ApiError> {
    let new = request.read()?;
    Ok(Json(admin.store.create_alert(&asker.may()?, &new).await?.into()))
}

/// Ends an alert.
#[utoipa::path(delete, path = "/api/v1/organization/alerts/{alert_id}", tag = "Alerts",
    operation_id = "delete_alert", params(("alert_id" = String, Path)),
    responses((status = 200, description = "It tells nothing more", body = DeletedObject),
        Refusals))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
) -> Result<Json<DeletedObject>, ApiError> {
    admin.store.delete_alert(&asker.may()?, &id).await?;
    Ok(DeletedObject::new("alert.deleted", id))
}
