//! Throughput that is held ready.

use server_accounts::{PriceListData, may};
use server_metering::Meter;
use server_store::{BillingError, NewPrice, NewProvision, Provision, Store, StoreError};

use super::{at, begin, now, told};
use crate::accounts::{actions, all, is_invalid, may, may_in, populated};
use crate::ledger::HOUR;
use crate::{On, is_missing, ledger::used};

crate::on_both! {
    each_hour_of_a_provision_is_billed,
    a_free_unit_is_of_one_provision,
    a_provision_ends_with_its_project,
    what_cannot_be_held_is_refused,
}

fn new(project: &str, units: u64) -> NewProvision<'_> {
    NewProvision { project, model: "llama", units, from: None, until: None }
}

async fn make(store: &Store, new: NewProvision<'_>) -> Result<Provision, StoreError> {
    store.create_provision(&may("a"), &new).await
}

async fn each_hour_of_a_provision_is_billed(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    let list = PriceListData::flat([(Meter::ProvisionedHours, "4000000")]);
    let (tier, model) = ("provisioned", "llama");
    let price =
        NewPrice { organization: Some("a"), model, tier, valid_from: 0, valid_until: None, list };
    store.set_price(&may("a"), &price).await.unwrap();
    let hour = now() / HOUR * HOUR;
    begin(store, hour).await;
    let open = make(store, new("p", 3)).await.unwrap();
    let span = (Some(hour + 2 * HOUR + 1), Some(hour + 3 * HOUR + 1));
    let later = NewProvision { from: span.0, until: span.1, ..new("p", 1) };
    let later = make(store, later).await.unwrap();
    assert_eq!((open.from, open.until), (hour, None));
    assert_eq!((later.from, later.until), (hour + 2 * HOUR, Some(hour + 4 * HOUR)));
    let line = |it: &Provision, hours: i64, units: u64| {
        let request = format!("provisioned:{}:{}", hour / HOUR + hours, it.id);
        let cost = i128::from(units) * 4_000_000_000_000;
        (request, "a".to_owned(), "p".to_owned(), units, cost)
    };
    for hours in 0..5 {
        let lines = store.count_hour(at(hour + (hours + 1) * HOUR)).await.unwrap().unwrap();
        let mut expected = vec![line(&open, hours, 3)];
        if (2..4).contains(&hours) {
            expected.push(line(&later, hours, 1));
        }
        expected.sort();
        assert_eq!(told(&lines, Meter::ProvisionedHours), expected);
    }
    opened.run("UPDATE counted SET last = last - 5 WHERE what = 'hour'").await;
    let end = at(hour + 5 * HOUR);
    while let Some(lines) = store.count_hour(end).await.unwrap() {
        assert_eq!(lines, []);
    }
    let sum = used(store, "a", (hour, hour + 5 * HOUR)).await;
    assert_eq!(sum.usage.get(Meter::ProvisionedHours), 5 * 3 + 2);
    // It ends with the present hour.
    let ended = store.end_provision(&may("a"), &open.id).await.unwrap();
    assert!(ended.until.unwrap() > now() && ended.until.unwrap() <= now() + HOUR);
    assert!(is_missing(store.end_provision(&may("a"), &open.id).await));
    assert!(is_missing(store.end_provision(&may("b"), &later.id).await));
    let listed = store.provisions(&may("a"), &all()).await.unwrap().rows;
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&ended) && listed.contains(&later));
    let told = actions(store, "a").await;
    let is_ours = |action: &&String| action.starts_with("provision.");
    let ours: Vec<_> = told.iter().filter(is_ours).collect();
    assert_eq!(ours, ["provision.created", "provision.created", "provision.ended"]);
}

async fn a_free_unit_is_of_one_provision(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    let list = r#"{"period":"total","meters":{"provisioned_hours":{"free_units":4,"price":"4"}}}"#;
    let list = PriceListData::parse(list).unwrap();
    let (tier, model) = ("provisioned", "llama");
    let price =
        NewPrice { organization: None, model, tier, valid_from: 0, valid_until: None, list };
    store.set_price(&may("a"), &price).await.unwrap();
    let hour = now() / HOUR * HOUR;
    begin(store, hour).await;
    for units in [3, 2] {
        make(store, new("p", units)).await.unwrap();
    }
    for (hours, costing) in [(1, 1), (2, 5)] {
        let lines = store.count_hour(at(hour + hours * HOUR)).await.unwrap().unwrap();
        let cost: i128 = lines.iter().map(|line| line.cost.get()).sum();
        assert_eq!((lines.len(), cost), (2, costing * 4_000_000), "{lines:?}");
    }
    assert_eq!(used(store, "a", (hour, hour + 2 * HOUR)).await.cost.get(), 6 * 4_000_000);
}

async fn a_provision_ends_with_its_project(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    let hour = now() / HOUR * HOUR;
    begin(store, hour).await;
    make(store, new("p", 1)).await.unwrap();
    store.archive_project(&may("a"), "p").await.unwrap();
    assert_eq!(store.count_hour(at(hour + HOUR)).await.unwrap(), Some(Vec::new()));
    assert!(is_invalid(make(store, new("p", 1)).await));
}

async fn what_cannot_be_held_is_refused(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    assert!(is_invalid(make(store, new("p", 0)).await));
    assert!(is_invalid(make(store, new("p", 1_001)).await));
    assert!(is_missing(make(store, new("nowhere", 1)).await));
    assert!(is_missing(store.create_provision(&may_in("a", "p"), &new("p", 1)).await));
    let past = NewProvision { from: Some(now() - HOUR), ..new("p", 1) };
    let is_past = |error| matches!(error, StoreError::Billing(BillingError::Past { .. }));
    assert!(is_past(make(store, past).await.unwrap_err()));
    let never = NewProvision { until: Some(now() - HOUR), ..new("p", 1) };
    let error = make(store, never).await.unwrap_err();
    assert!(matches!(error, StoreError::Billing(BillingError::Never { .. })), "{error}");
    for _ in 0..100 {
        make(store, new("p", 1)).await.unwrap();
    }
    assert!(matches!(make(store, new("p", 1)).await, Err(StoreError::TooMany { .. })));
    assert_eq!(store.provisions(&may::<may::ReadBilling>("b"), &all()).await.unwrap().rows, []);
}
