//! Why billing did not do what was asked.

use server_metering::OrganizationId;

use crate::client::StripeError;
use crate::store::BillingStoreError;
use crate::webhook::WebhookError;

/// What was asked of billing was not done.
#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    /// Stripe did not do it.
    #[error(transparent)]
    Stripe(#[from] StripeError),
    /// The store did not.
    #[error(transparent)]
    Store(#[from] BillingStoreError),
    /// The webhook is not taken.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// No plan has this id.
    #[error("there is no plan '{0}'")]
    NoPlan(String),
    /// The plan has no prices.
    #[error("plan '{0}' cannot be bought: it has no price at Stripe")]
    NotSold(String),
    /// There is a subscription already.
    #[error("the organization has a subscription: change its plan, or cancel it")]
    Subscribed,
    /// There is none.
    #[error("the organization has no subscription: buy one first")]
    NotSubscribed,
    /// It never was a customer.
    #[error("the organization is no customer yet: buy a subscription first")]
    NoCustomer,
    /// Others changed the state all the time.
    #[error("the organization's billing changes too fast: try again")]
    Busy,
    /// Usage counts in no span: the store broke its contract.
    #[error("usage of organization '{0}' is of no subscription: see the store's spans")]
    NoSpan(OrganizationId),
    /// The ledger's total does not fit.
    #[error(
        "the usage of organization '{0}' is more than 64 bits of micro-units: check its prices"
    )]
    TooMuch(OrganizationId),
}
