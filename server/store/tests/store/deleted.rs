//! What an organization that was deleted has used does not come back, whoever still has it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use server_metering::{Entry, UnixMillis};
use server_store::{PriceBooks, Store};
use tokio::task::JoinHandle;

use crate::accounts::{may, populated};
use crate::databases::has_postgres;
use crate::ledger::{HOUR, entry, total, used};
use crate::postgres::connect_for_all;
use crate::{On, Opened};

crate::on_both! {
    what_journals_have_of_it_does_not_come_back,
    another_one_of_its_id_has_what_it_used_itself,
    servers_that_append_meanwhile_bring_nothing_back,
    a_deletion_is_known_for_90_days,
}

const ALL_TIME: (i64, i64) = (0, 4_000_000_000_000);
const OF_91_DAYS_AGO: &str = "UPDATE deleted_organizations
    SET deleted_at = deleted_at - 7862400000 WHERE organization_id = 'a'";
const DAY: i64 = 24 * HOUR;
const LEFT: &str = "SELECT (SELECT COUNT(*) FROM ledger WHERE organization_id = 'a')
    + (SELECT COUNT(*) FROM usage_hours WHERE organization_id = 'a')
    + (SELECT COUNT(*) FROM usage_days WHERE organization_id = 'a')
    + (SELECT COUNT(*) FROM usage_sums WHERE organization_id = 'a')";

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn of_b(mut entry: Entry) -> Entry {
    entry.opened.path = crate::ledger::path("b", "p", "k");
    entry
}

/// Some of `a`, and one of `b`.
fn entries(first: i64) -> Vec<Entry> {
    let of_a = (0..5).map(|idx| entry(&format!("r{idx}"), first + idx));
    of_a.chain([of_b(entry("of b", first))]).collect()
}

async fn archive(opened: &Opened) {
    opened.store.archive_organization(&may("a")).await.unwrap();
    opened.run("UPDATE organizations SET archived_at = 7 WHERE id = 'a'").await;
}

async fn delete(opened: &Opened) {
    archive(opened).await;
    opened.store.delete_organization(&may("a")).await.unwrap();
}

async fn what_journals_have_of_it_does_not_come_back(on: On) {
    let opened = populated(on).await;
    let (store, beside) = (&opened.store, opened.beside().await);
    let entries = entries(now() - 2 * HOUR);
    assert_eq!(store.append_to_ledger(&entries).await.unwrap(), 6);
    delete(&opened).await;
    // One that began before the deletion and ended after it.
    let mut cut_off = entry("cut off", now() - HOUR);
    cut_off.settled_at = UnixMillis(now().unsigned_abs() + 60_000);
    let never_read = entry("never read", now() - HOUR);
    for store in [store, &beside] {
        // Alone, and with what the ledger has.
        assert_eq!(store.append_to_ledger(&entries[..5]).await.unwrap(), 0);
        assert_eq!(store.append_to_ledger(&entries).await.unwrap(), 0);
        let late = [cut_off.clone(), never_read.clone()];
        assert_eq!(store.append_to_ledger(&late).await.unwrap(), 0);
        let books = PriceBooks::default();
        assert_eq!(store.append_at_prices(&entries, &books).await.unwrap(), 0);
    }
    assert_eq!(opened.count(LEFT).await, 0);
    assert_eq!(used(store, "b", ALL_TIME).await, total(&entries[5..]));
}

async fn another_one_of_its_id_has_what_it_used_itself(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    let mut entries = entries(now() - 2 * HOUR);
    store.append_to_ledger(&entries).await.unwrap();
    delete(&opened).await;
    store.create_organization(&may("a"), "Another").await.unwrap();
    assert_eq!(store.append_to_ledger(&entries).await.unwrap(), 0);
    assert_eq!(used(store, "a", ALL_TIME).await, total([]));
    // It begins after the deletion, and ends 5 ms later.
    let new = [entry("new 1", now() + 6), entry("new 2", now() + HOUR)];
    entries.extend(new.clone());
    assert_eq!(store.append_to_ledger(&entries).await.unwrap(), 2);
    assert_eq!(used(store, "a", ALL_TIME).await, total(&new));
    // It can be deleted in turn, and counts from then on.
    delete(&opened).await;
    assert_eq!(store.append_to_ledger(&new[..1]).await.unwrap(), 0);
    assert_eq!(opened.count(LEFT).await, 0);
}

/// Adds lines that began before the deletion until it is told to end.
fn append(store: Store, writer: usize, first: i64) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let (mut num_new, mut num_after) = (0, 0);
        for batch in 0.. {
            let name = |idx| format!("w{writer} {batch} {idx}");
            let mut lines: Vec<_> = (0..20).map(|idx| entry(&name(idx), first)).collect();
            lines.push(of_b(entry(&name(20), first)));
            let num = store.append_to_ledger(&lines).await.unwrap();
            num_new += num;
            // Only that of `b`.
            num_after += usize::from(num == 1);
            if num_after == 10 {
                break;
            }
        }
        num_new
    })
}

async fn servers_that_append_meanwhile_bring_nothing_back(on: On) {
    let opened = populated(on).await;
    let beside = opened.beside().await;
    archive(&opened).await;
    let first = now() - 2 * HOUR;
    let writers: Vec<_> = [&opened.store, &beside, &opened.store, &beside]
        .into_iter()
        .enumerate()
        .map(|(writer, store)| append(store.clone(), writer, first))
        .collect();
    while opened.count("SELECT COUNT(*) FROM ledger WHERE organization_id = 'a'").await < 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let third = opened.beside().await;
    third.delete_organization(&may("a")).await.unwrap();
    let mut num_new = 0;
    for writer in writers {
        num_new += writer.await.unwrap();
    }
    assert!(num_new > 240, "they have added before");
    assert_eq!(opened.count(LEFT).await, 0);
    assert!(used(&third, "b", ALL_TIME).await.num_requests >= 40);
}

async fn a_deletion_is_known_for_90_days(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    delete(&opened).await;
    let known = "SELECT COUNT(*) FROM deleted_organizations WHERE organization_id = 'a'";
    store.sweep_batch().await.unwrap();
    assert_eq!(opened.count(known).await, 1);
    let deleted_at = opened.count("SELECT deleted_at FROM deleted_organizations").await;
    assert!((now() - deleted_at).abs() < DAY, "{deleted_at}");
    // What is being deleted stays known.
    opened.run("INSERT INTO deleted_organizations VALUES ('x', 9223372036854775807)").await;
    opened.run(OF_91_DAYS_AGO).await;
    store.sweep_batch().await.unwrap();
    assert_eq!(opened.count(known).await, 0);
    assert_eq!(opened.count("SELECT COUNT(*) FROM deleted_organizations").await, 1);
}

/// On PostgreSQL a transaction may have looked for deletions before one, and end after it.
#[tokio::test]
async fn a_deletion_waits_for_who_does_not_know_of_it() {
    if !has_postgres() {
        return;
    }
    let opened = populated(On::Postgres).await;
    opened.store.append_to_ledger(&[entry("r", now() - HOUR)]).await.unwrap();
    archive(&opened).await;
    let mut appender = connect_for_all(&opened.database).await;
    // As an appender begins, and what it does.
    let begin = "BEGIN; SELECT pg_advisory_xact_lock_shared(24935, 2);
        CREATE TEMPORARY TABLE late ON COMMIT DROP AS SELECT * FROM ledger;
        UPDATE late SET request_id = 'late'; INSERT INTO ledger SELECT * FROM late";
    sqlx::raw_sql(begin).execute(&mut appender).await.unwrap();
    let store = opened.store.clone();
    let deletion = tokio::spawn(async move { store.delete_organization(&may("a")).await });
    let waiting = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND classid = 24935 AND objid = 2
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while opened.count(waiting).await == 0 {
        assert!(!deletion.is_finished(), "it did not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sqlx::raw_sql("COMMIT").execute(&mut appender).await.unwrap();
    deletion.await.unwrap().unwrap();
    assert_eq!(opened.count(LEFT).await, 0);
}
