//! What is known of a subscription, and of an invoice.
//!
//! Invariant: a subscription that has ended has ended, whatever an event of another second says;
//! what is known of an invoice only grows, so the order of its events does not matter at all.

use serde::{Deserialize, Serialize};

use crate::ids::{CustomerId, PriceId};
use crate::objects::{Invoice, InvoiceStatus, Subscription, SubscriptionStatus};
use crate::records::Record;
use crate::time::UnixSeconds;
use crate::versioned::{Joined, Versioned};

/// The most prices of one subscription that are looked at; Stripe's own limit.
const MAX_PRICES: usize = 20;

/// A subscription as it was at some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subscribed {
    pub(crate) created: UnixSeconds,
    pub(crate) customer: CustomerId,
    pub(crate) status: SubscriptionStatus,
    pub(crate) prices: Vec<PriceId>,
    pub(crate) start: UnixSeconds,
    pub(crate) end: Option<UnixSeconds>,
    pub(crate) period: Option<(UnixSeconds, UnixSeconds)>,
    pub(crate) cancel_at_period_end: bool,
}

/// The latest that is known of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SubscriptionRecord(Versioned<Subscribed>);

impl From<&Subscription> for Subscribed {
    fn from(subscription: &Subscription) -> Self {
        let items = subscription.items.data.iter().take(MAX_PRICES);
        let mut prices: Vec<_> = items.map(|item| item.price.id.clone()).collect();
        // Stripe gives them in no order that is promised.
        prices.sort();
        Self {
            created: subscription.created,
            customer: subscription.customer.clone(),
            status: subscription.status,
            prices,
            start: subscription.start_date,
            end: subscription.ended_at,
            period: subscription.period(),
            cancel_at_period_end: subscription.cancel_at_period_end,
        }
    }
}

impl SubscriptionRecord {
    pub(crate) fn new(at: UnixSeconds, value: Subscribed) -> Self {
        Self(Versioned::new(at, value))
    }

    pub(crate) fn value(&self) -> &Subscribed {
        self.0.value()
    }

    pub(crate) fn join(&mut self, at: UnixSeconds, value: Subscribed) -> Joined {
        match (self.is_over(), value.status.is_over()) {
            (true, false) => Joined::Unchanged,
            (false, true) => {
                *self = Self::new(at, value);
                Joined::Changed
            }
            _ => self.0.join(at, value),
        }
    }

    pub(crate) fn is_after(&self, at: UnixSeconds) -> bool {
        self.0.is_after(at)
    }

    pub(crate) fn replace(&mut self, at: UnixSeconds, value: Subscribed) {
        if !self.is_over() || value.status.is_over() {
            self.0.replace(at, value);
        }
    }
}

impl Record for SubscriptionRecord {
    fn created(&self) -> UnixSeconds {
        self.value().created
    }

    fn is_over(&self) -> bool {
        self.value().status.is_over()
    }
}

/// All that is known of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InvoiceRecord {
    created: UnixSeconds,
    status: InvoiceStatus,
    has_failed: bool,
    is_first: bool,
    is_paid_by_hand: bool,
    finalized_at: Option<UnixSeconds>,
    due_date: Option<UnixSeconds>,
}

impl InvoiceRecord {
    pub(crate) fn new(invoice: &Invoice, has_failed: bool) -> Self {
        Self {
            created: invoice.created,
            status: invoice.status.unwrap_or(InvoiceStatus::Draft),
            has_failed,
            is_first: invoice.is_first(),
            is_paid_by_hand: invoice.is_paid_by_hand(),
            finalized_at: invoice.finalized_at(),
            due_date: invoice.due_date,
        }
    }

    pub(crate) fn join(&mut self, other: &Self) -> Joined {
        let joined = Self {
            created: self.created.max(other.created),
            status: self.status.max(other.status),
            has_failed: self.has_failed || other.has_failed,
            is_first: self.is_first || other.is_first,
            is_paid_by_hand: self.is_paid_by_hand || other.is_paid_by_hand,
            finalized_at: self.finalized_at.max(other.finalized_at),
            // Who was given more time has it.
            due_date: self.due_date.max(other.due_date),
        };
        match joined == *self {
            true => Joined::Unchanged,
            false => {
                *self = joined;
                Joined::Changed
            }
        }
    }

    /// Since when it is past due, or will be.
    pub(crate) fn past_due_from(&self) -> Option<UnixSeconds> {
        match self.status {
            InvoiceStatus::Draft | InvoiceStatus::Void | InvoiceStatus::Paid => None,
            InvoiceStatus::Open | InvoiceStatus::Uncollectible if self.is_paid_by_hand => {
                self.due_date
            }
            // Until its first invoice is paid, a subscription has given nothing.
            InvoiceStatus::Open | InvoiceStatus::Uncollectible => (self.has_failed
                && !self.is_first)
                .then_some(self.finalized_at.unwrap_or(self.created)),
        }
    }

    pub(crate) fn is_paid_by_hand(&self) -> bool {
        self.is_paid_by_hand
    }
}

impl Record for InvoiceRecord {
    fn created(&self) -> UnixSeconds {
        self.created
    }

    fn is_over(&self) -> bool {
        self.status >= InvoiceStatus::Void
    }
}
