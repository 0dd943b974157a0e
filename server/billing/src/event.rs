//! What a webhook tells of.
//!
//! Invariant: an event of a kind that nobody here needs is read as [`EventKind::Ignored`], so that
//! Stripe does not send it again for days.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ids::{CheckoutId, CustomerId, EventId, SubscriptionId};
use crate::objects::{Customer, Invoice, Subscription};
use crate::time::UnixSeconds;
use crate::webhook::WebhookError;

/// Something that happened at Stripe. The object in it is as it was then.
#[derive(Clone)]
pub struct Event {
    /// Its name: the same when it is sent again.
    pub id: EventId,
    /// When it happened. Several events of one object may have the same second.
    pub created: UnixSeconds,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone)]
pub enum EventKind {
    /// A checkout was paid, or needs no payment.
    CheckoutCompleted(CheckoutCompleted),
    /// A subscription was made, changed, or ended.
    Subscription(Box<Subscription>),
    /// An invoice became a bill, was paid, voided or given up.
    Invoice(Box<Invoice>),
    /// An invoice was to be paid and was not.
    PaymentFailed(Box<Invoice>),
    /// What is said of a customer changed.
    CustomerUpdated(Customer),
    /// A customer is gone.
    CustomerDeleted(CustomerId),
    /// Usage that Stripe took could not be counted: Stripe's words.
    UsageRefused(String),
    /// Something else.
    Ignored,
}

/// A checkout that came to its end.
#[derive(Clone, Debug, Deserialize)]
pub struct CheckoutCompleted {
    /// Its name.
    pub id: CheckoutId,
    /// Who bought; none where it was not for a customer of ours.
    #[serde(default)]
    pub customer: Option<CustomerId>,
    /// What it made.
    #[serde(default)]
    pub subscription: Option<SubscriptionId>,
}

impl Event {
    /// The event in the body of a webhook, whose signature is verified.
    ///
    /// # Errors
    /// [`WebhookError::Event`] if it is none, or not as Stripe describes it.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, WebhookError> {
        #[derive(Deserialize)]
        struct Raw {
            id: EventId,
            created: UnixSeconds,
            #[serde(rename = "type")]
            kind: String,
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            #[serde(default)]
            object: Value,
        }
        let wrong = |e: serde_json::Error| WebhookError::Event(e.to_string());
        let Raw { id, created, kind, data } = serde_json::from_slice(body).map_err(wrong)?;
        let kind = EventKind::of(&kind, data.object).map_err(wrong)?;
        Ok(Self { id, created, kind })
    }

    /// Whose it is, where it is a customer's.
    #[must_use]
    pub fn customer(&self) -> Option<&CustomerId> {
        match &self.kind {
            EventKind::CheckoutCompleted(checkout) => checkout.customer.as_ref(),
            EventKind::Subscription(subscription) => Some(&subscription.customer),
            EventKind::Invoice(invoice) | EventKind::PaymentFailed(invoice) => {
                Some(&invoice.customer)
            }
            EventKind::CustomerUpdated(customer) => Some(&customer.id),
            EventKind::CustomerDeleted(customer) => Some(customer),
            EventKind::UsageRefused(_) | EventKind::Ignored => None,
        }
    }
}

impl EventKind {
    fn of(kind: &str, object: Value) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            "checkout.session.completed" => Self::CheckoutCompleted(read(object)?),
            "customer.subscription.created"
            | "customer.subscription.updated"
            | "customer.subscription.deleted"
            | "customer.subscription.paused"
            | "customer.subscription.resumed" => Self::Subscription(read(object)?),
            "invoice.finalized"
            | "invoice.paid"
            | "invoice.voided"
            | "invoice.marked_uncollectible" => Self::Invoice(read(object)?),
            "invoice.payment_failed" => Self::PaymentFailed(read(object)?),
            "customer.updated" => Self::CustomerUpdated(read(object)?),
            "customer.deleted" => Self::CustomerDeleted(read::<Customer>(object)?.id),
            "v1.billing.meter.error_report_triggered" | "v1.billing.meter.no_meter_found" => {
                let summary = object.get("developer_message_summary").and_then(Value::as_str);
                Self::UsageRefused(summary.unwrap_or(kind).chars().take(300).collect())
            }
            _ => Self::Ignored,
        })
    }
}

fn read<T: DeserializeOwned>(object: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(kind: &str, object: Value) -> Result<Event, WebhookError> {
        let event =
            json!({ "id": "evt_1", "created": 5, "type": kind, "data": {"object": object} });
        Event::parse(event.to_string().as_bytes())
    }

    fn invoice(more: &Value) -> Value {
        let mut invoice = json!({ "id": "in_1", "customer": "cus_1", "created": 4,
            "currency": "eur", "status": "open", "subtotal": 2000, "total": 2380,
            "amount_due": 2380, "amount_remaining": 2380, "attempt_count": 1 });
        for (name, value) in more.as_object().unwrap() {
            invoice[name] = value.clone();
        }
        invoice
    }

    #[test]
    fn an_invoice_is_read_with_its_taxes_in_the_new_form_and_in_the_old() {
        let new = invoice(&json!({ "total_taxes": [{"amount": 300}, {"amount": 80}],
            "parent": {"subscription_details": {"subscription": "sub_1"}},
            "customer_tax_ids": [{"type": "eu_vat", "value": "DE1"}],
            "status_transitions": {"finalized_at": 4}, "collection_method": "send_invoice" }));
        let old = invoice(&json!({ "tax": 380, "subscription": "sub_1", "parent": null,
            "customer_tax_ids": null, "total_taxes": null }));
        for object in [new.clone(), old] {
            let event = parse("invoice.payment_failed", object).unwrap();
            assert_eq!(event.customer().unwrap().as_str(), "cus_1");
            let EventKind::PaymentFailed(invoice) = event.kind else { panic!("not a failure") };
            assert_eq!((invoice.taxes(), invoice.total), (380, 2380));
            assert_eq!(invoice.subscription().unwrap().as_str(), "sub_1");
        }
        let event = parse("invoice.finalized", new).unwrap();
        let EventKind::Invoice(invoice) = event.kind else { panic!("not an invoice") };
        assert_eq!(invoice.customer_tax_ids[0].kind, "eu_vat");
        assert_eq!(
            (invoice.finalized_at(), invoice.is_paid_by_hand()),
            (Some(UnixSeconds(4)), true)
        );
    }

    #[test]
    fn a_subscription_s_period_is_its_items_or_its_own() {
        let base = json!({ "id": "sub_1", "customer": "cus_1", "status": "later_invention",
            "created": 1, "start_date": 1, "items": {"data": [{"id": "si_1",
            "price": {"id": "price_1"}, "current_period_start": 1, "current_period_end": 9}]} });
        let mut old = base.clone();
        old["items"]["data"][0] = json!({ "id": "si_1", "price": {"id": "price_1"} });
        old["current_period_start"] = 1.into();
        old["current_period_end"] = 9.into();
        for object in [base, old] {
            let event = parse("customer.subscription.updated", object).unwrap();
            let EventKind::Subscription(subscription) = event.kind else { panic!("none") };
            assert_eq!(subscription.period(), Some((UnixSeconds(1), UnixSeconds(9))));
            assert_eq!(subscription.status, crate::SubscriptionStatus::Other);
        }
    }

    #[test]
    fn other_events_are_taken_and_broken_ones_are_not() {
        let other = parse("charge.succeeded", json!({ "id": 7 })).unwrap();
        assert!(matches!(other.kind, EventKind::Ignored) && other.customer().is_none());
        for (kind, object) in [
            ("invoice.paid", json!({})),
            ("customer.subscription.updated", json!({ "id": "sub_1" })),
            ("customer.deleted", json!({ "id": "../x" })),
        ] {
            assert!(matches!(parse(kind, object), Err(WebhookError::Event(_))), "{kind}");
        }
        assert!(Event::parse(b"[]").is_err() && Event::parse(b"\xff").is_err());
    }
}
