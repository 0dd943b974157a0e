//! What an organization has of its subscription, for those who let requests in.
//!
//! Invariant: it follows from the state and the plans alone; who pays nothing has the first plan,
//! and who is suspended has nothing.

use crate::ids::SubscriptionId;
use crate::objects::SubscriptionStatus;
use crate::plans::{Plan, Plans};
use crate::state::{BillingState, Span};
use crate::subscription::Subscribed;
use crate::time::UnixSeconds;

/// What an organization has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Its plan.
    pub plan: &'a Plan,
    /// How its subscription stands, where it has one that has not ended.
    pub subscription: Option<(&'a SubscriptionId, SubscriptionStatus)>,
    /// The first and the last second of the period that is paid or due.
    pub period: Option<(UnixSeconds, UnixSeconds)>,
    /// Whether the subscription ends with it.
    pub ends_with_period: bool,
    /// Since when an invoice is past due.
    pub past_due_since: Option<UnixSeconds>,
    /// Which reminder was the last.
    pub num_reminders: u32,
    /// Whether it gets nothing until it has paid.
    pub is_suspended: bool,
}

impl BillingState {
    /// The subscription that decides: one that gives something before one that does not, and of
    /// these the newest.
    pub(crate) fn governing(&self) -> Option<(&SubscriptionId, &Subscribed)> {
        let all = self.subscriptions.iter().map(|(id, record)| (id, record.value()));
        let current = all.filter(|(_, subscribed)| !subscribed.status.is_over());
        current.max_by_key(|(id, subscribed)| {
            (gives(subscribed.status), subscribed.created, (*id).clone())
        })
    }

    /// Whether it has a subscription that began and has not ended.
    pub(crate) fn is_subscribed(&self) -> bool {
        self.governing().is_some_and(|(_, s)| s.status != SubscriptionStatus::Incomplete)
    }

    /// Whether it had this subscription, and has it no longer.
    pub(crate) fn has_ended(&self, id: &SubscriptionId) -> bool {
        self.subscriptions.get(id).is_some_and(|record| record.value().status.is_over())
    }

    /// How many subscriptions give something: each is paid for.
    pub(crate) fn num_giving(&self) -> usize {
        let all = self.subscriptions.iter().map(|(_, record)| record.value());
        all.filter(|subscribed| gives(subscribed.status) == 2).count()
    }

    /// The usage that is to be reported, of each subscription that began.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let all = self.subscriptions.iter().map(|(id, record)| (id, record.value()));
        let began = all.filter(|(_, subscribed)| {
            use SubscriptionStatus::{Incomplete, IncompleteExpired, Other};
            !matches!(subscribed.status, Incomplete | IncompleteExpired | Other)
        });
        let span = |(id, subscribed): (&SubscriptionId, &Subscribed)| Span {
            subscription: id.clone(),
            customer: subscribed.customer.clone(),
            from: subscribed.start,
            until: subscribed.end,
        };
        began.map(span).collect()
    }

    /// What it has.
    #[must_use]
    pub fn standing<'a>(&'a self, plans: &'a Plans) -> Standing<'a> {
        use SubscriptionStatus::{Active, PastDue, Trialing};
        let governing = self.governing();
        let paid = governing
            .filter(|(_, subscribed)| matches!(subscribed.status, Trialing | Active | PastDue));
        let plan = paid.map(|(id, subscribed)| {
            plans.of_prices(&subscribed.prices).unwrap_or_else(|| {
                tracing::warn!(subscription = %id, "no plan has a price of this subscription");
                plans.free()
            })
        });
        Standing {
            plan: plan.unwrap_or(plans.free()),
            subscription: governing.map(|(id, subscribed)| (id, subscribed.status)),
            period: governing.and_then(|(_, subscribed)| subscribed.period),
            ends_with_period: governing.is_some_and(|(_, s)| s.cancel_at_period_end),
            past_due_since: self.dunning.since(),
            num_reminders: self.dunning.num_reminders(),
            is_suspended: self.dunning.is_suspended(),
        }
    }
}

/// How much a subscription gives: its plan; nothing now; nothing yet.
fn gives(status: SubscriptionStatus) -> u8 {
    use SubscriptionStatus::{Active, PastDue, Paused, Trialing, Unpaid};
    match status {
        Trialing | Active | PastDue => 2,
        Unpaid | Paused => 1,
        _ => 0,
    }
}
