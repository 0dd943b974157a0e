//! What buyers, banks and time do at the stand-in.

use serde_json::{Value, json};

use super::books::Books;

const MONTH: u64 = 30 * 24 * 3600;

impl Books {
    /// The buyer fills in a session's page; the subscription's id.
    pub(crate) fn pay_session(&mut self, session: &str) -> String {
        assert_eq!(self.sessions[session].1["status"], "open", "the page is closed");
        let fields = self.sessions[session].0.clone();
        let prices = (0..20).map_while(|idx| fields.get(&format!("line_items[{idx}][price]")));
        let prices: Vec<&str> = prices.map(String::as_str).collect();
        let id = self.subscribe(&fields["customer"], &prices);
        let object = &mut self.sessions.get_mut(session).unwrap().1;
        object["status"] = json!("complete");
        object["url"] = Value::Null;
        object["subscription"] = json!(id);
        let object = object.clone();
        self.tell("checkout.session.completed", &object);
        id
    }

    /// A subscription begins, paid; its id.
    pub(crate) fn subscribe(&mut self, customer: &str, prices: &[&str]) -> String {
        let id = self.new_id("sub");
        let mut items = Vec::new();
        for price in prices {
            let item = json!({ "id": self.new_id("si"), "price": { "id": price },
                "current_period_start": self.now, "current_period_end": self.now + MONTH });
            items.push(item);
        }
        let subscription = json!({ "id": id, "object": "subscription", "customer": customer,
            "status": "active", "created": self.now, "start_date": self.now, "ended_at": null,
            "cancel_at_period_end": false, "items": { "data": items } });
        self.subscriptions.insert(id.clone(), subscription.clone());
        self.tell("customer.subscription.created", &subscription);
        self.bill(&id, "subscription_create", 2000, true);
        id
    }

    /// A period ends: an invoice of the fee and of what was used; the invoice's id.
    pub(crate) fn end_period(&mut self, subscription: &str, is_paid: bool) -> String {
        let customer = self.subscriptions[subscription]["customer"].clone();
        let mut micros = 0;
        for (_, used) in self.used.iter_mut().filter(|(_, used)| customer == *used.customer) {
            if !used.is_billed {
                used.is_billed = true;
                micros += used.value;
            }
        }
        // Cents.
        let used = (micros + 5_000) / 10_000;
        self.bill(subscription, "subscription_cycle", 2000 + used, is_paid)
    }

    /// A customer pays what failed.
    pub(crate) fn pay(&mut self, invoice: &str) {
        let invoice = self.settle(invoice, "paid", "invoice.paid");
        let subscription = invoice["parent"]["subscription_details"]["subscription"].clone();
        self.set_status(subscription.as_str().unwrap(), "active");
    }

    /// The operator lets a customer off.
    pub(crate) fn void(&mut self, invoice: &str) {
        self.settle(invoice, "void", "invoice.voided");
    }

    /// A subscription is over.
    pub(crate) fn end(&mut self, id: &str) -> Value {
        let subscription = self.subscriptions.get_mut(id).unwrap();
        subscription["status"] = json!("canceled");
        subscription["ended_at"] = json!(self.now);
        let subscription = subscription.clone();
        self.tell("customer.subscription.deleted", &subscription);
        subscription
    }

    pub(crate) fn set_status(&mut self, id: &str, status: &str) {
        let subscription = self.subscriptions.get_mut(id).unwrap();
        subscription["status"] = json!(status);
        let subscription = subscription.clone();
        self.tell("customer.subscription.updated", &subscription);
    }

    /// The customer is deleted, and with it what it was subscribed to.
    pub(crate) fn delete_customer(&mut self, id: &str) {
        let customer = self.customers.remove(id).unwrap();
        let of_it = |subscription: &&Value| subscription["customer"] == *id;
        let all = self.subscriptions.values().filter(of_it);
        let ids: Vec<String> = all.map(|s| s["id"].as_str().unwrap().to_owned()).collect();
        ids.iter().for_each(|id| _ = self.end(id));
        self.tell("customer.deleted", &customer);
    }

    fn bill(&mut self, subscription: &str, reason: &str, amount: i64, is_paid: bool) -> String {
        let id = self.new_id("in");
        let tax = amount * 19 / 100;
        let invoice = json!({ "id": id, "object": "invoice", "status": "open",
            "customer": self.subscriptions[subscription]["customer"], "created": self.now,
            "currency": "eur", "number": format!("AB-{id}"), "subtotal": amount,
            "total_excluding_tax": amount, "total": amount + tax, "amount_due": amount + tax,
            "amount_remaining": amount + tax, "total_taxes": [{ "amount": tax }],
            "hosted_invoice_url": format!("https://invoice.test/{id}"),
            "customer_tax_exempt": "none", "customer_tax_ids": [], "attempt_count": 0,
            "collection_method": "charge_automatically", "billing_reason": reason,
            "status_transitions": { "finalized_at": self.now },
            "parent": { "subscription_details": { "subscription": subscription } } });
        self.invoices.insert(id.clone(), invoice.clone());
        self.tell("invoice.finalized", &invoice);
        self.invoices.get_mut(&id).unwrap()["attempt_count"] = json!(1);
        if is_paid {
            self.settle(&id, "paid", "invoice.paid");
        } else {
            let failed = self.invoices[&id].clone();
            self.tell("invoice.payment_failed", &failed);
            self.set_status(subscription, "past_due");
        }
        id
    }

    fn settle(&mut self, invoice: &str, status: &str, event: &str) -> Value {
        let invoice = self.invoices.get_mut(invoice).unwrap();
        invoice["status"] = json!(status);
        invoice["amount_remaining"] = json!(0);
        let invoice = invoice.clone();
        self.tell(event, &invoice);
        invoice
    }
}
