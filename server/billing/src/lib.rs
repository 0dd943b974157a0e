//! Stripe: customers, subscriptions, metered usage, invoices, dunning and webhooks.
//!
//! Invariant: nothing is charged, reported or told twice, whatever fails and whatever is sent
//! again; no SQL, no HTTP server, no clock and no card: the store, the routes and the time come
//! from outside, and cards never come here. Off unless an operator configures a secret.
//!
//! [`Billing`] is asked for links and invoices, is given webhooks and the time, and keeps a
//! [`BillingState`] of each organization in a [`BillingStore`]. What the organization may use
//! follows from it: [`BillingState::standing`].

mod billing;
mod client;
mod dunning;
mod error;
mod event;
mod hex;
mod ids;
mod objects;
mod options;
mod plans;
mod records;
mod secret;
mod standing;
mod state;
mod store;
mod subscription;
mod sync;
mod time;
mod usage;
mod versioned;
mod webhook;

pub use billing::Billing;
pub use client::{
    API_VERSION, Address, Checkout, CheckoutSession, CheckoutStatus, CustomerDetails,
    IdempotencyKey, ItemChange, MeterEvent, PortalSession, Stripe, StripeError, StripeOptions,
    SubscriptionChange, Taken, TaxId,
};
pub use dunning::{Notice, Schedule, ScheduleError};
pub use error::BillingError;
pub use event::{CheckoutCompleted, Event, EventKind};
pub use ids::{
    CheckoutId, CustomerId, EventId, InvoiceId, ItemId, MAX_STRIPE_ID_BYTES, MeterId, PriceId,
    StripeIdError, SubscriptionId,
};
pub use objects::{
    Customer, CustomerAddress, Invoice, InvoiceStatus, InvoiceTaxId, ItemPrice, List, Subscription,
    SubscriptionItem, SubscriptionStatus,
};
pub use options::{BillingOptions, MeterOptions, ReturnUrls};
pub use plans::{Plan, PlanLimits, PlanPrice, Plans, PlansError};
pub use secret::{Secret, SecretError};
pub use standing::Standing;
pub use state::{Applied, BillingState, Fetched, Refetch, Span, Target, Taxed};
pub use store::{BillingStore, BillingStoreError, LedgerSums, Loaded, Metered, Report, Update};
pub use sync::Received;
pub use time::{Hour, UnixSeconds};
pub use usage::ReportedUsage;
pub use webhook::{MAX_WEBHOOK_BYTES, WebhookError, WebhookSecrets};
