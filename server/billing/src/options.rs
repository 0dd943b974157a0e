//! How billing is configured.

use crate::dunning::Schedule;
use crate::ids::MeterId;
use crate::plans::Plans;
use crate::webhook::WebhookSecrets;

/// What is billed, and how.
#[derive(Clone, Debug)]
pub struct BillingOptions {
    /// What is sold.
    pub plans: Plans,
    /// What happens to who does not pay.
    pub schedule: Schedule,
    /// What webhooks are signed with.
    pub webhook_secrets: WebhookSecrets,
    /// Where usage is counted; nowhere, where plans cost only their fees.
    pub meter: Option<MeterOptions>,
    /// Whether Stripe computes taxes.
    pub has_automatic_tax: bool,
}

/// A meter of Stripe's that sums its raw events, each in micro-units of money: a price of it is
/// 0.0001 cents a unit (`unit_amount_decimal`), where the currency has cents.
#[derive(Clone, Debug)]
pub struct MeterOptions {
    /// Its name.
    pub id: MeterId,
    /// What its events are called.
    pub event_name: String,
    /// How long after an hour's end the ledger may still be told of it.
    pub settle_secs: u64,
}

/// Where a browser goes after a checkout.
#[derive(Clone, Debug)]
pub struct ReturnUrls<'a> {
    /// After it was paid.
    pub success: &'a str,
    /// After it was not.
    pub cancel: &'a str,
}
