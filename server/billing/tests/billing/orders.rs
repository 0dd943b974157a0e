//! Any order and any number of copies of a history's events end in the same state, which is what
//! Stripe has: a model of Stripe makes the history, and answers when it is asked.

use proptest::prelude::*;
use serde_json::{Value, json};
use server_billing::{
    Applied, BillingState, CustomerId, Event, EventId, EventKind, Fetched, Plans, Refetch,
    Schedule, SubscriptionStatus, Target, UnixSeconds,
};

use crate::world::{DAY, PLANS};

const START: u64 = 1_800_000_000;
const MAX_EVENTS: usize = 40;
const MAX_COPIES: usize = 3;

/// What Stripe has.
#[derive(Clone)]
struct Truth {
    now: u64,
    customer: Value,
    subscriptions: Vec<Value>,
    invoices: Vec<Value>,
}

/// What happens: the kind, to which object, and how many seconds after what was before.
type Step = (u8, u8, u64);

impl Truth {
    fn new() -> Self {
        let customer = json!({ "id": "cus_1", "address": { "country": "DE" } });
        Self { now: START, customer, subscriptions: Vec::new(), invoices: Vec::new() }
    }

    /// What happens, if it can; the kind of event, and the object in it.
    fn happen(&mut self, (kind, pick, secs): Step) -> Option<(&'static str, Value)> {
        self.now += secs;
        match kind {
            0 => self.subscribe(pick),
            1..=3 => {
                let current = |s: &&mut Value| !is_over(s);
                let all: Vec<_> = self.subscriptions.iter_mut().filter(current).collect();
                let num = all.len();
                let subscription = all.into_iter().nth(usize::from(pick).checked_rem(num)?)?;
                match kind {
                    1 => {
                        let all = ["active", "past_due", "unpaid", "trialing", "paused"];
                        subscription["status"] = json!(all[usize::from(pick / 8) % all.len()]);
                    }
                    2 => subscription["items"] = items(pick / 8),
                    _ => {
                        subscription["status"] = json!("canceled");
                        subscription["ended_at"] = json!(self.now);
                    }
                }
                Some(("subscription", subscription.clone()))
            }
            4 => self.bill(pick),
            5..=8 => {
                let open =
                    |i: &&mut Value| ["open", "uncollectible"].iter().any(|s| i["status"] == *s);
                let all: Vec<_> = self.invoices.iter_mut().filter(open).collect();
                let num = all.len();
                let invoice = all.into_iter().nth(usize::from(pick).checked_rem(num)?)?;
                match kind {
                    5 => {
                        invoice["attempt_count"] = json!(1);
                        return Some(("failed", invoice.clone()));
                    }
                    6 => invoice["status"] = json!("paid"),
                    7 => invoice["status"] = json!("void"),
                    _ => invoice["status"] = json!("uncollectible"),
                }
                Some(("invoice", invoice.clone()))
            }
            9 => {
                self.customer["address"]["country"] =
                    json!(["DE", "FR", "US"][usize::from(pick) % 3]);
                Some(("customer", self.customer.clone()))
            }
            _ => {
                let num = self.subscriptions.len();
                let subscription = &self.subscriptions[usize::from(pick).checked_rem(num)?];
                let session = json!({ "id": "cs_1", "customer": "cus_1",
                    "subscription": subscription["id"] });
                Some(("checkout", session))
            }
        }
    }

    fn subscribe(&mut self, pick: u8) -> Option<(&'static str, Value)> {
        if self.subscriptions.len() == 3 {
            return None;
        }
        let id = format!("sub_{}", self.subscriptions.len());
        let status = if pick.is_multiple_of(2) { "incomplete" } else { "active" };
        let subscription = json!({ "id": id, "customer": "cus_1", "status": status,
            "created": self.now, "start_date": self.now, "items": items(pick) });
        self.subscriptions.push(subscription.clone());
        Some(("subscription", subscription))
    }

    fn bill(&mut self, pick: u8) -> Option<(&'static str, Value)> {
        let num = self.subscriptions.len();
        let subscription = self.subscriptions[usize::from(pick).checked_rem(num)?]["id"].clone();
        let invoice = json!({ "id": format!("in_{}", self.invoices.len()), "customer": "cus_1",
            "created": self.now, "currency": "eur", "status": "open", "attempt_count": 0,
            "billing_reason": "subscription_cycle", "subscription": subscription,
            "status_transitions": { "finalized_at": self.now } });
        self.invoices.push(invoice.clone());
        Some(("invoice", invoice))
    }

    fn fetch(&self, target: &Target) -> Fetched {
        let find = |all: &[Value], id: &str| all.iter().find(|o| o["id"] == id).unwrap().clone();
        match target {
            Target::Subscription(id) => {
                Fetched::Subscription(Box::new(read(find(&self.subscriptions, id.as_str()))))
            }
            Target::Invoice(id) => {
                Fetched::Invoice(Box::new(read(find(&self.invoices, id.as_str()))))
            }
            Target::Customer(_) => Fetched::Customer(read(self.customer.clone())),
        }
    }
}

fn is_over(subscription: &Value) -> bool {
    subscription["status"] == "canceled"
}

fn items(pick: u8) -> Value {
    let price = if pick.is_multiple_of(2) { "price_pro" } else { "price_enterprise" };
    json!({ "data": [{ "id": "si_1", "price": { "id": price } }] })
}

fn read<T: serde::de::DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

/// Each event, with what Stripe had after it.
fn history(steps: &[Step]) -> Vec<(Event, Truth)> {
    let mut truth = Truth::new();
    let mut all = Vec::new();
    for &step in steps {
        let Some((kind, object)) = truth.happen(step) else { continue };
        let kind = match kind {
            "subscription" => EventKind::Subscription(Box::new(read(object))),
            "invoice" => EventKind::Invoice(Box::new(read(object))),
            "failed" => EventKind::PaymentFailed(Box::new(read(object))),
            "customer" => EventKind::CustomerUpdated(read(object)),
            _ => EventKind::CheckoutCompleted(read(object)),
        };
        let id = EventId::new(&format!("evt_{}", all.len())).unwrap();
        all.push((Event { id, created: UnixSeconds(truth.now), kind }, truth.clone()));
    }
    all
}

fn new_state() -> BillingState {
    let mut state = BillingState::default();
    state.link(CustomerId::new("cus_1").unwrap());
    state
}

fn deliver(state: &mut BillingState, event: &Event, truth: &Truth) {
    if let Applied::Refetch(Refetch { target, at }) = state.apply(event) {
        state.fetched(at, &truth.fetch(&target));
    }
}

/// What the state says is what Stripe has.
fn assert_true(state: &mut BillingState, history: &[(Event, Truth)]) {
    let Some((_, truth)) = history.last() else { return };
    let failed: Vec<String> = history
        .iter()
        .filter_map(|(event, _)| match &event.kind {
            EventKind::PaymentFailed(invoice) => Some(invoice.id.to_string()),
            _ => None,
        })
        .collect();
    let is_owed = |invoice: &&Value| {
        let is_open = invoice["status"] == "open" || invoice["status"] == "uncollectible";
        is_open && failed.iter().any(|id| invoice["id"] == **id)
    };
    let owed = truth.invoices.iter().filter(is_owed);
    let since = owed.map(|invoice| UnixSeconds(invoice["created"].as_u64().unwrap())).min();
    let notices = state.tick(&Schedule::default(), UnixSeconds(truth.now + 15 * DAY));
    assert_eq!(notices.len(), usize::from(since.is_some()));
    let plans = Plans::from_toml(PLANS).unwrap();
    let standing = state.standing(&plans);
    assert_eq!((standing.past_due_since, standing.is_suspended), (since, since.is_some()));
    match standing.subscription {
        None => assert!(truth.subscriptions.iter().all(is_over)),
        Some((id, status)) => {
            let known = truth.subscriptions.iter().find(|s| s["id"] == id.as_str()).unwrap();
            assert_eq!(read::<SubscriptionStatus>(known["status"].clone()), status);
            let gives = ["active", "trialing", "past_due"].iter().any(|s| known["status"] == *s);
            let is_pro = known["items"]["data"][0]["price"]["id"] == "price_pro";
            let plan = if !gives {
                "free"
            } else if is_pro {
                "pro"
            } else {
                "enterprise"
            };
            assert_eq!(standing.plan.id, plan);
        }
    }
    let country = state.taxed().and_then(|taxed| taxed.country.clone());
    assert!(country.is_none() || truth.customer["address"]["country"] == *country.unwrap());
}

#[test]
fn what_has_ended_has_ended_and_nobody_is_asked() {
    let mut truth = Truth::new();
    let steps = [(0, 1, 0), (1, 0, 1), (3, 0, 0)];
    let events = history(&steps);
    assert_eq!(events[1].0.created, events[2].0.created, "changed and ended in one second");
    let mut late = events[0].0.clone();
    late.created = UnixSeconds(START + 9);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut state = new_state();
        for idx in order {
            assert!(!matches!(state.apply(&events[idx].0), Applied::Refetch(_)), "{order:?}");
        }
        assert_eq!(state.apply(&late), Applied::Unchanged, "an end is later than any second");
        // Nor does an answer of Stripe's that was on its way.
        truth.happen(steps[0]);
        let id = server_billing::SubscriptionId::new("sub_0").unwrap();
        state.fetched(UnixSeconds(START + 9), &truth.fetch(&Target::Subscription(id)));
        let plans = Plans::from_toml(PLANS).unwrap();
        assert_eq!(state.standing(&plans).subscription, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_any_copies_end_in_what_stripe_has(
        // A second in three passes: many events are of the same one.
        steps in prop::collection::vec((0..11u8, any::<u8>(), prop::sample::select(vec![0, 0, 1])),
            1..MAX_EVENTS),
        copies in prop::collection::vec((0..MAX_EVENTS, any::<u32>()), MAX_EVENTS * MAX_COPIES),
    ) {
        let history = history(&steps);
        let mut in_order = new_state();
        for (event, _) in &history {
            deliver(&mut in_order, event, &history.last().unwrap().1);
        }
        // When each copy comes: with its event or later, while Stripe's history goes on.
        let mut deliveries = Vec::new();
        for idx in 0..history.len() {
            let of_event = &copies[idx * MAX_COPIES..(idx + 1) * MAX_COPIES];
            let num = 1 + of_event[0].1 as usize % MAX_COPIES;
            for &(late, turn) in &of_event[..num] {
                deliveries.push(((idx + late).min(history.len() - 1), turn, idx));
            }
        }
        deliveries.sort_unstable();
        let mut shuffled = new_state();
        for (when, _, idx) in deliveries {
            deliver(&mut shuffled, &history[idx].0, &history[when].1);
        }
        prop_assert_eq!(&shuffled, &in_order);
        assert_true(&mut shuffled, &history);
    }
}
