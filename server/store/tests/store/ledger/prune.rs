//! Old lines of the ledger are deleted, and reports, limits and bills go on to be right.

use server_metering::Picos;
use server_store::{
    BillingError, BillingSpan, BillingUpdate, BucketQuery, BucketWidth, Limits, StoreError,
};

use super::{ALL_TIME, HOUR, entry, operator, time, total, used};
use crate::accounts::{is_invalid, populated};
use crate::{On, Opened};

crate::on_both! {
    lines_go_and_sums_stay,
    what_a_journal_still_has_of_then_counts_no_more,
    what_stripe_has_yet_to_be_told_stays,
    a_server_deletes_them_by_itself,
}

/// 2020-01-01 12:00 UTC.
const OLD: i64 = 1_577_880_000_000;
const LINES: &str = "SELECT COUNT(*) FROM ledger";

fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn is_deleted<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Billing(BillingError::Deleted { .. })))
}

async fn lines_go_and_sums_stay(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    let recent = now() - HOUR;
    let times = [OLD, OLD + 1, OLD + HOUR / 2, OLD + HOUR, OLD + 2 * HOUR, recent];
    let entries: Vec<_> =
        times.iter().enumerate().map(|(idx, at)| entry(&format!("r{idx}"), *at)).collect();
    store.append_to_ledger(&entries).await.unwrap();
    let sums = opened.count("SELECT COUNT(*) FROM usage_sums").await;
    // To the hour before.
    let before = OLD + 2 * HOUR + HOUR / 2;
    assert_eq!(store.prune_ledger(&operator(""), before).await.unwrap(), 4);
    assert_eq!(opened.count(LINES).await, 2);
    assert_eq!(opened.count("SELECT COUNT(*) FROM usage_sums").await, sums);
    assert_eq!(used(store, "a", ALL_TIME).await, total(&entries));
    assert_eq!(used(store, "a", (OLD, OLD + HOUR)).await, total(&entries[..3]));
    // Of less than an hour nobody knows any more, but where nothing was used, or all is there.
    let part = async |since, until| store.usage(&operator("a"), &time((since, until))).await;
    assert!(is_deleted(part(OLD, OLD + 1).await));
    assert!(is_deleted(part(OLD + 1, OLD + 5 * HOUR).await));
    assert!(is_deleted(part(OLD - HOUR, OLD + HOUR + 1).await));
    assert_eq!(part(OLD - 2 * HOUR, OLD - HOUR - 5).await.unwrap(), Default::default());
    assert_eq!(part(OLD + 2 * HOUR, OLD + 2 * HOUR + 1).await.unwrap(), total(&entries[4..5]));
    assert_eq!(part(recent, recent + 1).await.unwrap(), total(&entries[5..]));
    let buckets = |width| BucketQuery {
        usage: time((OLD, OLD + HOUR)),
        width,
        group_by: Vec::new(),
        limit: 100,
        after: None,
    };
    assert!(is_deleted(store.usage_buckets(&operator("a"), &buckets(BucketWidth::Minute)).await));
    let days = store.usage_buckets(&operator("a"), &buckets(BucketWidth::Day)).await.unwrap();
    assert_eq!(days.rows[0].groups[0].total, total(&entries[..3]));
    assert!(is_invalid(store.prune_ledger(&operator(""), now() - 6 * 24 * HOUR).await));
    assert_eq!(store.prune_ledger(&operator(""), before).await.unwrap(), 0);
}

async fn what_a_journal_still_has_of_then_counts_no_more(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    let entries = [entry("r0", OLD), entry("r1", now())];
    assert_eq!(store.append_to_ledger(&entries).await.unwrap(), 2);
    store.prune_ledger(&operator(""), OLD + HOUR).await.unwrap();
    // An earlier time takes nothing back.
    store.prune_ledger(&operator(""), OLD - HOUR).await.unwrap();
    assert_eq!(store.append_to_ledger(&entries).await.unwrap(), 0);
    assert_eq!(used(store, "a", ALL_TIME).await, total(&entries));
    assert_eq!(store.append_to_ledger(&[entry("r2", OLD + HOUR)]).await.unwrap(), 1);
}

async fn what_stripe_has_yet_to_be_told_stays(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    let minute = HOUR / 60;
    let times = [0, 10, 20, 70, 130, 190, 250].map(|at| OLD + at * minute);
    let entries: Vec<_> =
        times.iter().enumerate().map(|(idx, at)| entry(&format!("r{idx}"), *at)).collect();
    store.append_to_ledger(&entries).await.unwrap();
    // From ten past noon to three o'clock.
    let span = BillingSpan {
        subscription: "sub_1".to_owned(),
        customer: "cus_1".to_owned(),
        from: (OLD + 10 * minute) / 1000,
        until: Some((OLD + 180 * minute) / 1000),
    };
    let update = BillingUpdate {
        state: "{}".to_owned(),
        next_tick: None,
        customer: None,
        spans: vec![span],
        notices: Vec::new(),
        plan: None,
        suspended: None,
    };
    assert!(store.save_billing(&operator("a"), 0, &update).await.unwrap());
    let hour = OLD / HOUR;
    let told = async || {
        let all = store.billing_sums(&operator("a"), None, hour + 9, 10).await.unwrap();
        let metered = store.billing_metered(hour + 9, None, 10).await.unwrap();
        (all, metered.len())
    };
    let before = told().await;
    let sums = [(0, 14), (1, 7), (2, 7)].map(|(at, sum)| (hour + at, Picos::new(sum)));
    assert_eq!(before, ((Picos::new(0), sums.to_vec()), 1));
    // Only the hour after the span's last one is nobody's business.
    assert_eq!(store.prune_ledger(&operator(""), OLD + 9 * HOUR).await.unwrap(), 1);
    assert_eq!(told().await, before);
    opened.run("UPDATE billing SET watermark = 438302 WHERE organization_id = 'a'").await;
    assert_eq!(hour + 2, 438_302);
    // Told of all: the lines of its first and its last hour stay, since it does not begin with one.
    assert_eq!(store.prune_ledger(&operator(""), OLD + 9 * HOUR).await.unwrap(), 2);
    let known = store.billing_sums(&operator("a"), Some(hour + 2), hour + 9, 10).await.unwrap();
    assert_eq!(known, (Picos::new(28), Vec::new()));
}

async fn a_server_deletes_them_by_itself(on: On) {
    let retention = Some(std::time::Duration::from_secs(30 * 86_400));
    let limits = Limits { ledger_retention: retention, ..Limits::default() };
    let opened = Opened::with(on, limits).await;
    let entries = [entry("r0", OLD), entry("r1", now() - 20 * 24 * HOUR)];
    opened.store.append_to_ledger(&entries).await.unwrap();
    let sweeping = tokio::spawn(opened.store.clone().sweep_forever());
    while opened.count(LINES).await > 1 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    sweeping.abort();
    assert_eq!(used(&opened.store, "a", ALL_TIME).await, total(&entries));
}
