//! The schedule of dunning, on states alone.

use serde_json::{Value, json};
use server_billing::{
    Applied, BillingState, Event, EventId, EventKind, Invoice, Notice, Schedule, UnixSeconds,
};

use crate::world::DAY;

const T0: UnixSeconds = UnixSeconds(1_800_000_000);

fn invoice(id: &str, finalized: UnixSeconds, more: &Value) -> Box<Invoice> {
    let mut invoice = json!({ "id": id, "customer": "cus_1", "created": finalized.0,
        "currency": "eur", "status": "open", "attempt_count": 1,
        "billing_reason": "subscription_cycle", "collection_method": "charge_automatically",
        "status_transitions": { "finalized_at": finalized.0 } });
    for (name, value) in more.as_object().unwrap() {
        invoice[name] = value.clone();
    }
    Box::new(serde_json::from_value(invoice).unwrap())
}

fn apply(state: &mut BillingState, kind: EventKind) {
    let event = Event { id: EventId::new("evt_1").unwrap(), created: T0, kind };
    assert_eq!(state.apply(&event), Applied::Changed);
}

fn failed(id: &str, at: UnixSeconds) -> BillingState {
    let mut state = BillingState::default();
    apply(&mut state, EventKind::PaymentFailed(invoice(id, at, &json!({}))));
    state
}

fn tick(state: &mut BillingState, at: UnixSeconds) -> Vec<Notice> {
    state.tick(&Schedule::default(), at)
}

fn numbers(notices: &[Notice]) -> Vec<u32> {
    let number = |notice: &Notice| match notice {
        Notice::Reminder { number, suspended_at, since, .. } => {
            assert_eq!(*suspended_at, since.plus(14 * DAY));
            *number
        }
        Notice::Suspended { .. } => 100,
        Notice::Restored => 200,
    };
    notices.iter().map(number).collect()
}

#[test]
fn each_step_comes_once_at_its_time_and_next_tick_says_when() {
    let mut state = failed("in_1", T0);
    let mut now = T0;
    let mut all = Vec::new();
    while let Some(next) = state.next_tick(&Schedule::default()) {
        assert!(next > now || all.is_empty());
        if next > now {
            assert_eq!(tick(&mut state, next.minus(1)), [], "a second before");
        }
        now = next;
        all.push((now.since(T0) / DAY, numbers(&tick(&mut state, now))));
        assert_eq!(tick(&mut state, now), [], "the same second again");
    }
    let steps = [(0, vec![]), (1, vec![1]), (3, vec![2]), (7, vec![3]), (14, vec![100])];
    assert_eq!(all, steps);
}

#[test]
fn a_server_that_was_down_sends_the_last_reminder_alone() {
    let mut state = failed("in_1", T0);
    assert_eq!(numbers(&tick(&mut state, T0.plus(4 * DAY))), [2]);
    assert_eq!(numbers(&tick(&mut state, T0.plus(20 * DAY))), [100]);
}

#[test]
fn a_clock_that_goes_back_takes_nothing_back() {
    let mut state = failed("in_1", T0);
    tick(&mut state, T0.plus(14 * DAY));
    assert_eq!(tick(&mut state, T0.plus(2 * DAY)), []);
    assert!(state.standing(&server_billing::Plans::standard().unwrap()).is_suspended);
    assert_eq!(tick(&mut state, T0.minus(DAY)), []);
}

#[test]
fn of_two_invoices_the_older_counts_until_it_is_paid() {
    let mut state = failed("in_1", T0);
    let second = T0.plus(10 * DAY);
    apply(&mut state, EventKind::PaymentFailed(invoice("in_2", second, &json!({}))));
    assert_eq!(numbers(&tick(&mut state, T0.plus(14 * DAY))), [100]);
    let paid = json!({ "status": "paid" });
    apply(&mut state, EventKind::Invoice(invoice("in_1", T0, &paid)));
    // Four days after the second: service is back, and reminders begin anew.
    assert_eq!(numbers(&tick(&mut state, T0.plus(14 * DAY))), [200]);
    assert_eq!(numbers(&tick(&mut state, second.plus(7 * DAY))), [3]);
    assert_eq!(numbers(&tick(&mut state, second.plus(14 * DAY))), [100]);
    apply(&mut state, EventKind::Invoice(invoice("in_2", second, &paid)));
    assert_eq!(numbers(&tick(&mut state, second.plus(14 * DAY))), [200]);
    assert_eq!(state.next_tick(&Schedule::default()), None);
}

#[test]
fn what_is_paid_by_hand_is_past_due_after_its_date() {
    let due = T0.plus(30 * DAY);
    let by_hand = json!({ "collection_method": "send_invoice", "due_date": due.0,
        "attempt_count": 0, "billing_reason": "subscription_create" });
    let mut state = BillingState::default();
    apply(&mut state, EventKind::Invoice(invoice("in_1", T0, &by_hand)));
    assert_eq!(state.next_tick(&Schedule::default()), Some(due));
    assert_eq!(tick(&mut state, due.minus(1)), []);
    assert_eq!(numbers(&tick(&mut state, due.plus(DAY))), [1]);
}

#[test]
fn a_first_invoice_and_one_that_is_void_or_a_draft_is_not_past_due() {
    for more in [
        json!({ "billing_reason": "subscription_create" }),
        json!({ "status": "void" }),
        json!({ "status": "draft" }),
    ] {
        let mut state = BillingState::default();
        apply(&mut state, EventKind::PaymentFailed(invoice("in_1", T0, &more)));
        assert_eq!(state.next_tick(&Schedule::default()), None, "{more}");
        assert_eq!(tick(&mut state, T0.plus(100 * DAY)), [], "{more}");
    }
}

#[test]
fn a_schedule_is_data_with_days_in_order() {
    let read = |text: &str| serde_json::from_str::<Schedule>(text);
    let schedule = read(r#"{"reminder_days":[1,3,7],"suspend_after_days":14}"#).unwrap();
    assert_eq!(schedule, Schedule::default());
    assert!(read(r#"{"reminder_days":[],"suspend_after_days":0}"#).is_ok());
    for wrong in [
        r#"{"reminder_days":[3,1],"suspend_after_days":14}"#,
        r#"{"reminder_days":[1,1],"suspend_after_days":14}"#,
        r#"{"reminder_days":[1],"suspend_after_days":367}"#,
        r#"{"reminder_days":[1],"suspend_after_days":9,"restore":1}"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
