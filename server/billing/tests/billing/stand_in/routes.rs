//! The requests that the stand-in answers.

use serde_json::{Value, json};

use super::Answer;
use super::books::{Books, Fields, Used};

const DAY: u64 = 24 * 3600;

impl Books {
    pub(super) fn route(&mut self, what: &str, fields: &Fields) -> Answer {
        let (method, path) = what.split_once(' ').unwrap();
        let path: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        match (method, path.as_slice()) {
            ("POST", ["customers"]) => self.create_customer(fields),
            ("GET", ["customers", id]) => found(self.customers.get(*id), id),
            ("POST", ["customers", id]) => self.update_customer(id, fields),
            ("POST", ["customers", id, "tax_ids"]) => {
                found(self.customers.get(*id), id)?;
                self.tax_ids.push(((*id).to_owned(), fields.clone()));
                Ok(json!({ "id": "txi_1" }))
            }
            ("POST", ["checkout", "sessions"]) => self.create_session(fields),
            ("GET", ["checkout", "sessions", id]) => {
                found(self.sessions.get(*id).map(|(_, session)| session), id)
            }
            ("POST", ["checkout", "sessions", id, "expire"]) => self.expire_session(id),
            ("POST", ["billing_portal", "sessions"]) => {
                let customer = &fields["customer"];
                found(self.customers.get(customer), customer)?;
                Ok(json!({ "id": "bps_1", "url": format!("https://billing.test/{customer}") }))
            }
            ("GET", ["subscriptions"]) => list(self.subscriptions.values(), fields),
            ("GET", ["subscriptions", id]) => found(self.subscriptions.get(*id), id),
            ("POST", ["subscriptions", id]) => self.update_subscription(id, fields),
            ("DELETE", ["subscriptions", id]) => {
                let subscription = found(self.subscriptions.get(*id), id)?;
                match subscription["status"] == "canceled" {
                    true => Err((404, format!("No such subscription: '{id}'"))),
                    false => Ok(self.end(id)),
                }
            }
            ("GET", ["invoices"]) => list(self.invoices.values(), fields),
            ("GET", ["invoices", id]) => found(self.invoices.get(*id), id),
            ("POST", ["billing", "meter_events"]) => self.take_usage(fields),
            ("GET", ["billing", "meters", _, "event_summaries"]) => Ok(self.summary(fields)),
            _ => Err((404, format!("Unrecognized request URL ({what})"))),
        }
    }

    fn create_customer(&mut self, fields: &Fields) -> Answer {
        let id = self.new_id("cus");
        let field = |name: &str| fields.get(name).map_or(Value::Null, |text| json!(text));
        let customer = json!({ "id": id, "object": "customer", "email": field("email"),
            "name": field("name"), "tax_exempt": "none",
            "address": { "country": field("address[country]") },
            "tax_id": field("tax_id_data[0][value]"),
            "metadata": { "organization": field("metadata[agentbase_organization]") } });
        self.customers.insert(id, customer.clone());
        self.tell("customer.created", &customer);
        Ok(customer)
    }

    fn update_customer(&mut self, id: &str, fields: &Fields) -> Answer {
        let mut customer = found(self.customers.get(id), id)?;
        for name in ["email", "name"] {
            if let Some(value) = fields.get(name) {
                customer[name] = json!(value);
            }
        }
        if let Some(country) = fields.get("address[country]") {
            customer["address"]["country"] = json!(country);
        }
        self.customers.insert(id.to_owned(), customer.clone());
        self.tell("customer.updated", &customer);
        Ok(customer)
    }

    fn create_session(&mut self, fields: &Fields) -> Answer {
        found(self.customers.get(&fields["customer"]), &fields["customer"])?;
        if fields.contains_key("tax_id_collection[enabled]")
            && fields.get("customer_update[name]").map(String::as_str) != Some("auto")
        {
            return Err((400, "Tax ID collection requires updating business name".into()));
        }
        let id = self.new_id("cs");
        let session = json!({ "id": id, "url": format!("https://checkout.test/{id}"),
            "status": "open", "customer": fields["customer"], "subscription": null });
        self.sessions.insert(id, (fields.clone(), session.clone()));
        Ok(session)
    }

    fn expire_session(&mut self, id: &str) -> Answer {
        let (_, session) =
            self.sessions.get_mut(id).ok_or_else(|| (404, format!("No such session: {id}")))?;
        if session["status"] != "open" {
            return Err((400, "Only Checkout Sessions with a status in [\"open\"] can be".into()));
        }
        session["status"] = json!("expired");
        session["url"] = Value::Null;
        Ok(session.clone())
    }

    fn update_subscription(&mut self, id: &str, fields: &Fields) -> Answer {
        let mut subscription = found(self.subscriptions.get(id), id)?;
        if subscription["status"] == "canceled" {
            return Err((400, "A canceled subscription can only update its metadata".into()));
        }
        let mut items = subscription["items"]["data"].as_array().unwrap().clone();
        for idx in 0..20 {
            let field = |name: &str| fields.get(&format!("items[{idx}][{name}]")).cloned();
            let place = field("id").map(|id| items.iter().position(|i| i["id"] == *id).unwrap());
            match (place, field("price")) {
                (Some(place), Some(price)) => items[place]["price"]["id"] = json!(price),
                (Some(place), None) => _ = items.remove(place),
                (None, Some(price)) => {
                    let item = json!({ "id": self.new_id("si"), "price": { "id": price } });
                    items.push(item);
                }
                (None, None) => break,
            }
        }
        subscription["items"]["data"] = json!(items);
        if let Some(ends) = fields.get("cancel_at_period_end") {
            subscription["cancel_at_period_end"] = json!(ends == "true");
        }
        self.subscriptions.insert(id.to_owned(), subscription.clone());
        self.tell("customer.subscription.updated", &subscription);
        Ok(subscription)
    }

    /// As Stripe does it: an identifier is known for a day, and refused then; the time is of the
    /// last 35 days.
    fn take_usage(&mut self, fields: &Fields) -> Answer {
        let (identifier, customer) =
            (&fields["identifier"], &fields["payload[stripe_customer_id]"]);
        let at: u64 = fields["timestamp"].parse().unwrap();
        let now = self.now;
        let is_known =
            |(known, used): &(String, Used)| known == identifier && used.received + DAY > now;
        if self.used.iter().any(is_known) {
            let message = format!("An event already exists with identifier {identifier}.");
            return Err((400, message));
        }
        if at + 35 * DAY < now || at > now + 300 {
            return Err((400, "The timestamp is too far away".into()));
        }
        found(self.customers.get(customer), customer)?;
        assert!(identifier.len() <= 100 && fields["event_name"] == "usage_micros");
        let value = fields["payload[value]"].parse().unwrap();
        let used = Used { customer: customer.clone(), value, at, received: now, is_billed: false };
        self.used.push((identifier.clone(), used));
        Ok(json!({ "object": "billing.meter_event", "identifier": identifier }))
    }

    fn summary(&self, fields: &Fields) -> Value {
        let time = |name: &str| fields[name].parse::<u64>().unwrap();
        let (start, end) = (time("start_time"), time("end_time"));
        assert!(start % 60 == 0 && end % 60 == 0, "Stripe takes whole minutes");
        let all = self.used.iter().map(|(_, used)| used);
        let total: i64 = all
            .filter(|used| used.customer == fields["customer"])
            .filter(|used| (start..end).contains(&used.at))
            .map(|used| used.value)
            .sum();
        json!({ "data": [{ "aggregated_value": total as f64 }], "has_more": false })
    }
}

fn found(object: Option<&Value>, id: &str) -> Answer {
    object.cloned().ok_or_else(|| (404, format!("No such object: '{id}'")))
}

/// The newest first.
fn list<'a>(all: impl Iterator<Item = &'a Value>, fields: &Fields) -> Answer {
    let mut data: Vec<_> = all.filter(|o| o["customer"] == *fields["customer"]).collect();
    data.sort_by_key(|object| std::cmp::Reverse(object["created"].as_u64()));
    let limit = fields["limit"].parse().unwrap();
    let has_more = data.len() > limit;
    data.truncate(limit);
    Ok(json!({ "data": data, "has_more": has_more }))
}
