//! `/api/v1/organization/webhooks`: where events are sent, and what was.

use axum::extract::State;
use axum::routing::{delete as ending, get};
use axum::{Json, Router};
use server_http::ApiError;
use server_identity::WebhookSecret;
use server_store::NewWebhook;

use crate::Admin;
use crate::body::{Body, In};
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::query::Query;
use crate::who::Asker;
use crate::wire::DeletedObject;
use crate::wire::webhook::{DeliveryObject, WebhookObject, WebhookRequest};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/api/v1/organization/webhooks", get(list).post(create))
        .route("/api/v1/organization/webhooks/{webhook_id}", ending(delete))
        .route("/api/v1/organization/webhooks/{webhook_id}/deliveries", get(deliveries))
}

/// Where events are sent, without what they are signed with.
#[utoipa::path(get, path = "/api/v1/organization/webhooks", tag = "Alerts",
    operation_id = "list_webhooks",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of them", body = ListOf<WebhookObject>),
        Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<ListOf<WebhookObject>>, ApiError> {
    let paging = query.paging(false)?;
    let page = admin.store.webhooks(&asker.may()?, &paging.page).await?;
    Ok(ListOf::page(page, &paging, |it| WebhookObject::new(it, None)))
}

/// Has events sent to an address from now on; the answer has the secret that they are signed with,
/// and no other has.
#[utoipa::path(post, path = "/api/v1/organization/webhooks", tag = "Alerts",
    operation_id = "create_webhook", request_body = WebhookRequest,
    responses((status = 200, description = "It", body = WebhookObject), Refusals))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    asker: Asker,
    Body(request): Body<WebhookRequest>,
) -> Result<Json<WebhookObject>, ApiError> {
    let secret = WebhookSecret::random();
    let new = NewWebhook { url: &request.url, secret: secret.reveal(), events: &request.events };
    let made = admin.store.create_webhook(&asker.may()?, &new).await?;
    Ok(Json(WebhookObject::new(made, Some(&secret))))
}

/// Sends nothing to it any more, what waits included.
#[utoipa::path(delete, path = "/api/v1/organization/webhooks/{webhook_id}", tag = "Alerts",
    operation_id = "delete_webhook", params(("webhook_id" = String, Path)),
    responses((status = 200, description = "It gets nothing more", body = DeletedObject),
        Refusals))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
) -> Result<Json<DeletedObject>, ApiError> {
    admin.store.delete_webhook(&asker.may()?, &id).await?;
    Ok(DeletedObject::new("webhook.deleted", id))
}

/// What was sent to it in the last 30 days or is to be, the newest first, without what it says.
#[utoipa::path(get, path = "/api/v1/organization/webhooks/{webhook_id}/deliveries", tag = "Alerts",
    operation_id = "list_webhook_deliveries",
    params(("webhook_id" = String, Path),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query), ("before" = Option<String>, Query),
        ("failed" = Option<bool>, Query, description = "Only what was given up")),
    responses((status = 200, description = "A page of it", body = ListOf<DeliveryObject>),
        Refusals))]
pub(crate) async fn deliveries(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
    query: Query,
) -> Result<Json<ListOf<DeliveryObject>>, ApiError> {
    let (paging, failed) = (query.paging(true)?, query.is_set("failed")?);
    let page = admin.store.deliveries(&asker.may()?, &id, failed, &paging.page).await?;
    Ok(ListOf::page(page, &paging, DeliveryObject::from))
}
