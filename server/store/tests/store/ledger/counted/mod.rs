//! What is billed by the clock, each hour and each month once.

mod commitments;
mod provisions;

use std::time::{SystemTime, UNIX_EPOCH};

use server_accounts::PriceListData;
use server_metering::{Entry, Meter, UnixMillis};
use server_store::{Completion, GroupBy, NewPrice, Store, StoreError};

use super::{HOUR, NOON, operator, time, used};
use crate::{On, Opened, of};

crate::on_both! {
    what_is_kept_is_billed_once_an_hour,
    servers_that_count_at_once_bill_once,
    hours_that_were_missed_are_billed_at_the_prices_of_then,
    free_units_and_steps_go_on_from_hour_to_hour,
    a_name_of_any_length_has_an_hour_of_its_own,
}

pub(super) fn at(millis: i64) -> UnixMillis {
    UnixMillis(millis.unsigned_abs())
}

pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// Counts from now on: nothing before is billed.
pub(super) async fn begin(store: &Store, now: i64) {
    assert_eq!(store.count_hour(at(now)).await.unwrap(), None);
    assert_eq!(store.count_month(at(now)).await.unwrap(), None);
}

/// What of lines can be foreseen: request, organization, project, units, pico-units.
pub(super) fn told(lines: &[Entry], meter: Meter) -> Vec<(String, String, String, u64, i128)> {
    let told = |line: &Entry| {
        let path = &line.opened.path;
        let names = (line.opened.request.to_string(), path.organization.to_string());
        let project = path.project.to_string();
        (names.0, names.1, project, line.usage.get(meter), line.cost.get())
    };
    let mut all: Vec<_> = lines.iter().map(told).collect();
    all.sort();
    all
}

pub(super) async fn price(store: &Store, model: &str, from: i64, list: &str) {
    let list = PriceListData::parse(list).unwrap();
    let (tier, valid_from, valid_until) = ("standard", from, None);
    let new = NewPrice { organization: None, model, tier, valid_from, valid_until, list };
    store.set_price(&operator("a"), &new).await.unwrap();
}

async fn keep(store: &Store, tenant: &str, num_bytes: usize) {
    let completion = Completion {
        id: format!("chatcmpl-{num_bytes}"),
        body: "x".repeat(num_bytes),
        ..Completion::default()
    };
    store.add_completion(&of(tenant), &completion, &[]).await.unwrap();
}

fn storage(
    hour: i64,
    tenant: &str,
    num_bytes: u64,
    cost: i128,
) -> (String, String, String, u64, i128) {
    let request = format!("storage:{}:{tenant}", hour / HOUR);
    (request, tenant.to_owned(), "-".to_owned(), num_bytes, cost)
}

async fn what_is_kept_is_billed_once_an_hour(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    price(store, "storage", 0, r#"{"meters":{"storage_byte_hours":{"price":"2"}}}"#).await;
    keep(store, "a", 100).await;
    keep(store, "b", 30).await;
    begin(store, NOON + 5).await;
    assert_eq!(store.count_hour(at(NOON + HOUR - 1)).await.unwrap(), None);
    let lines = store.count_hour(at(NOON + HOUR)).await.unwrap().unwrap();
    let [a, b] = [storage(NOON, "a", 100, 200_000_000), storage(NOON, "b", 30, 60_000_000)];
    assert_eq!(told(&lines, Meter::StorageByteHours), [a, b]);
    assert_eq!(store.count_hour(at(NOON + HOUR)).await.unwrap(), None);
    // Killed before it was noted that the hour is over: the lines are there.
    opened.run("UPDATE counted SET last = last - 1 WHERE what = 'hour'").await;
    keep(store, "a", 1).await;
    assert_eq!(store.count_hour(at(NOON + HOUR)).await.unwrap(), Some(Vec::new()));
    // And half of them, if that is what it came to.
    opened
        .run(
            "UPDATE counted SET last = last - 1 WHERE what = 'hour'; DELETE FROM ledger
        WHERE organization_id = 'b'; DELETE FROM usage_hours WHERE organization_id = 'b'",
        )
        .await;
    let lines = store.count_hour(at(NOON + HOUR)).await.unwrap().unwrap();
    assert_eq!(lines.len(), 1);
    for range in [(NOON, NOON + HOUR), (NOON + 1, NOON + HOUR)] {
        for (organization, num_bytes) in [("a", 100), ("b", 30)] {
            let sum = used(store, organization, range).await;
            // It is no request, and all of it is in its hour.
            assert_eq!((sum.num_requests, sum.usage.get(Meter::StorageByteHours)), (0, num_bytes));
            assert_eq!(sum.cost.get(), i128::from(num_bytes) * 2_000_000);
        }
    }
    let query = time((NOON, NOON + HOUR));
    let by = [GroupBy::Project, GroupBy::Key, GroupBy::Model, GroupBy::Endpoint];
    let groups = store.usage_by(&operator("a"), &query, &by).await.unwrap();
    assert_eq!((&groups[0].project, &groups[0].key), (&None, &None));
    assert_eq!(groups[0].model.as_deref(), Some("storage"));
    assert_eq!(groups[0].endpoint.as_deref(), Some("storage"));
}

async fn servers_that_count_at_once_bill_once(on: On) {
    let opened = Opened::new(on).await;
    let beside = opened.beside().await;
    for tenant in 0..600 {
        keep(&opened.store, &format!("t{tenant:03}"), 10).await;
    }
    begin(&opened.store, NOON).await;
    let end = at(NOON + 3 * HOUR);
    let all = async |store: &Store| {
        let mut num = 0;
        while let Some(lines) = store.count_hour(end).await? {
            num += lines.len();
        }
        Ok::<_, StoreError>(num)
    };
    let (one, other) = tokio::join!(all(&opened.store), all(&beside));
    assert_eq!(one.unwrap() + other.unwrap(), 3 * 600);
    let sum = used(&beside, "t599", (NOON, NOON + 3 * HOUR)).await;
    assert_eq!(sum.usage.get(Meter::StorageByteHours), 30);
    beside.close().await;
}

async fn hours_that_were_missed_are_billed_at_the_prices_of_then(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    keep(store, "a", 10).await;
    for (from, price_of) in [(NOON + HOUR, "2"), (NOON + 2 * HOUR, "5")] {
        let list = format!(r#"{{"meters":{{"storage_byte_hours":{{"price":"{price_of}"}}}}}}"#);
        price(store, "storage", from, &list).await;
    }
    begin(store, NOON).await;
    let later = at(NOON + 3 * HOUR + 7);
    let mut costs = Vec::new();
    while let Some(lines) = store.count_hour(later).await.unwrap() {
        costs.extend(lines.iter().map(|line| (line.settled_at.0, line.cost.get())));
    }
    let last = |hours: i64| (NOON + hours * HOUR - 1).unsigned_abs();
    // The first hour has no price: it is counted, and costs nothing.
    assert_eq!(costs, [(last(1), 0), (last(2), 20_000_000), (last(3), 50_000_000)]);
    // Who was off for a year bills a month of it.
    let year = NOON + 8_760 * HOUR;
    let first = store.count_hour(at(year)).await.unwrap().unwrap();
    assert_eq!(first[0].opened.opened_at, at(year - 744 * HOUR));
}

async fn free_units_and_steps_go_on_from_hour_to_hour(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    keep(store, "a", 100).await;
    let list = r#"{"meters":{"storage_byte_hours":{"free_units":150,
        "steps":[{"from":0,"price":"3"},{"from":250,"price":"1"}]}}}"#;
    price(store, "storage", 0, list).await;
    begin(store, NOON).await;
    let mut costs = Vec::new();
    for hour in 1..=4 {
        let lines = store.count_hour(at(NOON + hour * HOUR)).await.unwrap().unwrap();
        costs.push(lines[0].cost.get());
    }
    assert_eq!(costs, [0, 50 * 3_000_000, 50 * 3_000_000 + 50 * 1_000_000, 100 * 1_000_000]);
    assert_eq!(used(store, "a", (0, NOON * 2)).await.cost.get(), costs.iter().sum::<i128>());
}

async fn a_name_of_any_length_has_an_hour_of_its_own(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    let long = ["x".repeat(255) + "a", "x".repeat(255) + "b"];
    for tenant in &long {
        keep(store, tenant, 9).await;
    }
    begin(store, NOON).await;
    let lines = store.count_hour(at(NOON + HOUR)).await.unwrap().unwrap();
    assert_eq!(lines.len(), 2);
    assert_ne!(lines[0].opened.request, lines[1].opened.request);
}
