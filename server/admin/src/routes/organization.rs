//! `/api/v1/organization`

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;
use server_http::ApiError;
use server_store::OrganizationUpdate;

use crate::Admin;
use crate::body::Body;
use crate::openapi::Refusals;
use crate::who::Asker;
use crate::wire::organization::{Organization, OrganizationPatch};

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/api/v1/organization", get(retrieve).patch(modify))
}

/// The organization.
#[utoipa::path(get, path = "/api/v1/organization", tag = "Organization",
    operation_id = "retrieve_organization",
    responses((status = 200, description = "It", body = Organization), Refusals))]
pub(crate) async fn retrieve(
    State(admin): State<Admin>,
    asker: Asker,
) -> Result<Json<Organization>, ApiError> {
    Ok(Json(admin.store.organization(&asker.may()?).await?.into()))
}

/// Changes its name or settings.
#[utoipa::path(patch, path = "/api/v1/organization", tag = "Organization",
    operation_id = "modify_organization", request_body = OrganizationPatch,
    responses((status = 200, description = "It", body = Organization), Refusals))]
pub(crate) async fn modify(
    State(admin): State<Admin>,
    asker: Asker,
    Body(patch): Body<OrganizationPatch>,
) -> Result<Json<Organization>, ApiError> {
    let update = OrganizationUpdate {
        name: patch.name,
        requires_two_factors: patch.requires_two_factors,
        settings: patch.settings.map(|settings| Value::Object(settings).to_string()),
    };
    admin.store.update_organization(&asker.may()?, &update).await?;
    retrieve(State(admin), asker).await
}
