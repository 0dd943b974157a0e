//! Why something was not done, in OpenAI's shape.
//!
//! Invariant: what Stripe said goes into the log and not into an answer: it may be about the
//! operator's account.

use axum::http::StatusCode;
use server_billing::{BillingError, BillingStoreError, WebhookError};
use server_http::ApiError;
use server_store::StoreError;

/// Seconds to wait for Stripe.
const RETRY_S: u32 = 30;

pub(crate) fn told(error: BillingError) -> ApiError {
    let message = format!("{error}.");
    match error {
        BillingError::NoPlan(_) | BillingError::NotSold(_) => {
            ApiError::invalid(Some("plan"), message)
        }
        BillingError::Subscribed => conflict("already_subscribed", message),
        BillingError::NotSubscribed => conflict("not_subscribed", message),
        BillingError::NoCustomer => conflict("no_customer", message),
        BillingError::Busy => ApiError::unavailable("billing_busy", message, 1),
        BillingError::Webhook(error) => of_webhook(&error),
        BillingError::Store(error) => of_store(error),
        BillingError::Stripe(error) => {
            tracing::error!(%error, "Stripe did not do what an organization asked for");
            let message = "Stripe cannot be asked at the moment: try again.";
            ApiError::unavailable("stripe_unavailable", message, RETRY_S)
        }
        BillingError::NoSpan(_) | BillingError::TooMuch(_) => {
            tracing::error!(%error, "usage cannot be billed");
            ApiError::internal()
        }
    }
}

fn conflict(code: &str, message: String) -> ApiError {
    ApiError::refused(StatusCode::CONFLICT, code, message)
}

fn of_webhook(error: &WebhookError) -> ApiError {
    let status = match error {
        WebhookError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    tracing::warn!(%error, "a webhook is refused");
    ApiError::refused(status, "invalid_webhook", format!("{error}."))
}

fn of_store(error: BillingStoreError) -> ApiError {
    match error.0.downcast::<StoreError>() {
        Ok(error) => (*error).into(),
        Err(error) => {
            tracing::error!(%error, "what is kept of billing cannot be read");
            ApiError::internal()
        }
    }
}
