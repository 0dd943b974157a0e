//! Stripe's objects, as far as they are read.
//!
//! Invariant: a value that a later version of Stripe's API adds is read as `Other`, and a field
//! that it adds is not read; what changed its place with `2025-03-31.basil` is read in both.

mod invoice;

use serde::Deserialize;

pub use invoice::{Invoice, InvoiceStatus, InvoiceTaxId};

use crate::ids::{CustomerId, ItemId, PriceId, SubscriptionId};
use crate::time::UnixSeconds;

/// A page of a list.
#[derive(Clone, Debug, Deserialize)]
pub struct List<T> {
    /// What is on it.
    pub data: Vec<T>,
    /// Whether there is more.
    #[serde(default)]
    pub has_more: bool,
}

/// Who pays. It cannot be printed: it is personal data.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Customer {
    /// Its name.
    pub id: CustomerId,
    /// Where invoices go.
    #[serde(default)]
    pub email: Option<String>,
    /// Who stands on them.
    #[serde(default)]
    pub name: Option<String>,
    /// Where that is.
    #[serde(default)]
    pub address: Option<CustomerAddress>,
    /// `none`, `exempt` or `reverse`.
    #[serde(default)]
    pub tax_exempt: Option<String>,
    /// Whether it is gone.
    #[serde(default)]
    pub deleted: bool,
}

/// What decides on taxes of where a customer is.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct CustomerAddress {
    /// Two letters (ISO 3166-1).
    #[serde(default)]
    pub country: Option<String>,
}

/// How a subscription stands, in Stripe's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// The first payment has not been made.
    Incomplete,
    /// The first payment was not made in a day. It stays so.
    IncompleteExpired,
    /// Nothing is to be paid yet.
    Trialing,
    /// All is paid.
    Active,
    /// The last invoice is not paid.
    PastDue,
    /// Stripe no longer tries to have the last invoice paid.
    Unpaid,
    /// A trial ended without a way to pay.
    Paused,
    /// It has ended. It stays so.
    Canceled,
    /// What a later version of Stripe's API has.
    #[serde(other)]
    Other,
}

impl SubscriptionStatus {
    /// Whether nothing ever changes it.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

/// What a customer is subscribed to.
#[derive(Clone, Debug, Deserialize)]
pub struct Subscription {
    /// Its name.
    pub id: SubscriptionId,
    /// Whose it is.
    pub customer: CustomerId,
    /// How it stands.
    pub status: SubscriptionStatus,
    /// When it was made.
    pub created: UnixSeconds,
    /// When it began.
    pub start_date: UnixSeconds,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<UnixSeconds>,
    /// Whether it ends with the period that is paid.
    #[serde(default)]
    pub cancel_at_period_end: bool,
    /// Its prices.
    pub items: List<SubscriptionItem>,
    #[serde(default)]
    current_period_start: Option<UnixSeconds>,
    #[serde(default)]
    current_period_end: Option<UnixSeconds>,
}

/// One price of a subscription.
#[derive(Clone, Debug, Deserialize)]
pub struct SubscriptionItem {
    /// Its name.
    pub id: ItemId,
    /// The price.
    pub price: ItemPrice,
    #[serde(default)]
    current_period_start: Option<UnixSeconds>,
    #[serde(default)]
    current_period_end: Option<UnixSeconds>,
}

/// A price.
#[derive(Clone, Debug, Deserialize)]
pub struct ItemPrice {
    /// Its name.
    pub id: PriceId,
}

impl Subscription {
    /// The first and the last second of the period that is paid or due.
    #[must_use]
    pub fn period(&self) -> Option<(UnixSeconds, UnixSeconds)> {
        let of_items = self
            .items
            .data
            .iter()
            .filter_map(|item| Some((item.current_period_start?, item.current_period_end?)));
        of_items
            .max_by_key(|&(_, end)| end)
            .or(self.current_period_start.zip(self.current_period_end))
    }
}
