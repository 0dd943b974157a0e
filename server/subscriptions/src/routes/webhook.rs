//! `/webhooks/stripe`: what Stripe tells.
//!
//! Invariant: of a body without Stripe's signature nothing is read but its bytes, no more of them
//! and no longer than said here.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use server_api::ErrorBody;
use server_billing::{BillingError, MAX_WEBHOOK_BYTES, WebhookError};
use server_http::ApiError;
use tokio::time::timeout;

use crate::Subscriptions;
use crate::error::told;
use crate::wire::ReceivedObject;

const PATIENCE: Duration = Duration::from_secs(30);
const SIGNATURE: &str = "stripe-signature";

pub(super) fn routes() -> Router<Subscriptions> {
    Router::new().route("/webhooks/stripe", post(receive))
}

/// Takes an event of Stripe's. Any answer but 200 makes Stripe send it again.
#[utoipa::path(post, path = "/webhooks/stripe", tag = "Billing",
    operation_id = "receive_stripe_webhook", security(()),
    params(("Stripe-Signature" = String, Header, description = "What Stripe signs the body with")),
    request_body(content = String, content_type = "application/json",
        description = "An event, as Stripe describes it"),
    responses((status = 200, description = "It was taken", body = ReceivedObject),
        (status = 400, description = "It is not Stripe's", body = ErrorBody),
        (status = 408, description = "It did not arrive in time", body = ErrorBody),
        (status = 413, description = "It is too large", body = ErrorBody),
        (status = 503, description = "Try again", body = ErrorBody)))]
pub(crate) async fn receive(
    State(subscriptions): State<Subscriptions>,
    request: Request,
) -> Result<Json<ReceivedObject>, ApiError> {
    let (parts, body) = request.into_parts();
    let signature = parts.headers.get(SIGNATURE).and_then(|value| value.to_str().ok());
    let refused = |error| told(BillingError::Webhook(error));
    let signature = signature.ok_or_else(|| refused(WebhookError::Header))?;
    let late = || {
        let message = "The webhook did not arrive in time.";
        ApiError::refused(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    };
    let body = timeout(PATIENCE, to_bytes(body, MAX_WEBHOOK_BYTES)).await.map_err(|_| late())?;
    let body = body.map_err(|_| refused(WebhookError::TooLarge(MAX_WEBHOOK_BYTES + 1)))?;
    subscriptions.billing().receive(&body, signature, subscriptions.now()).await.map_err(told)?;
    Ok(Json(ReceivedObject { received: true }))
}
