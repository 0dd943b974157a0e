//! What is paid at least for each month.

use server_metering::{Entry, Meter, Micros, Period, Picos};
use server_store::{BillingError, Commitment, NewCommitment, Store, StoreError};

use super::{at, begin, now, told};
use crate::accounts::{all, is_invalid, may, populated};
use crate::ledger::{HOUR, entry, used};
use crate::{On, Opened, is_missing};

crate::on_both! {
    what_is_missing_to_a_commitment_is_billed_once,
    a_month_has_one_commitment,
    what_is_over_is_not_committed_to,
}

fn ten(months: Option<u32>) -> NewCommitment {
    NewCommitment { amount: Micros::new(10_000_000), from: None, months }
}

async fn make(store: &Store, new: NewCommitment) -> Result<Commitment, StoreError> {
    store.create_commitment(&may("a"), &new).await
}

/// The first moments of this month and of those that follow.
fn months() -> [i64; 4] {
    let this = Period::Month.number(at(now()));
    [0, 1, 2, 3].map(|more| Period::Month.start(this + more).unwrap().0.cast_signed())
}

/// Bills what is over at a moment.
async fn count(store: &Store, moment: i64) -> Option<Vec<Entry>> {
    store.count_month(at(moment)).await.unwrap()
}

async fn what_is_missing_to_a_commitment_is_billed_once(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    let [this, next, after, last] = months();
    begin(store, this + 2 * HOUR).await;
    let made = make(store, ten(Some(2))).await.unwrap();
    assert_eq!((made.from, made.until), (this, Some(after)));
    // 4.000000000001 in this month, more than enough in the next.
    let mut spent = [entry("one", this), entry("two", next - 1), entry("three", next)];
    spent[0].cost = Picos::new(4_000_000_000_000);
    spent[1].cost = Picos::new(1);
    spent[2].cost = Picos::new(10_000_000_000_000);
    store.append_to_ledger(&spent).await.unwrap();
    assert_eq!(count(store, next + HOUR - 1).await, None);
    let lines = count(store, next + HOUR).await.unwrap();
    let month = Period::Month.number(at(this));
    let line = (format!("commitment:{month}:a"), "a".into(), "-".into(), 0, 5_999_999_999_999);
    assert_eq!(told(&lines, Meter::InputTokens), [line]);
    assert_eq!(lines[0].settled_at, at(next - 1));
    assert_eq!(count(store, next + HOUR).await, None);
    repeat(&opened).await;
    // The line itself is nothing that was spent, and a month that needs none has none.
    assert_eq!(count(store, next + HOUR).await, Some(Vec::new()));
    assert_eq!(used(store, "a", (this, next)).await.cost, ten(None).amount.to_picos());
    assert_eq!(count(store, after + HOUR).await, Some(Vec::new()));
    assert_eq!(count(store, last + HOUR).await, Some(Vec::new()));
    assert_eq!(used(store, "a", (next, last)).await.cost, ten(None).amount.to_picos());
}

async fn repeat(opened: &Opened) {
    opened.run("UPDATE counted SET last = last - 1 WHERE what = 'month'").await;
}

async fn a_month_has_one_commitment(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    let [this, next, after, _] = months();
    let first = make(store, ten(None)).await.unwrap();
    let error = make(store, NewCommitment { from: Some(after), ..ten(None) }).await.unwrap_err();
    let other = BillingError::Committed { id: first.id.clone() };
    assert!(matches!(&error, StoreError::Billing(it) if *it == other), "{error}");
    let ended = store.end_commitment(&may("a"), &first.id, None).await.unwrap();
    assert_eq!((ended.from, ended.until), (this, Some(next)));
    let second = NewCommitment { from: Some(next + 5), ..ten(Some(1)) };
    let second = make(store, second).await.unwrap();
    assert_eq!((second.from, second.until), (next, Some(after)));
    // One that was wrong is as if it never was, while its first month lasts.
    store.end_commitment(&may("a"), &first.id, Some(this)).await.unwrap();
    assert!(is_missing(store.end_commitment(&may("a"), &first.id, None).await));
    let third = make(store, ten(Some(1))).await.unwrap();
    assert_eq!((third.from, third.until), (this, Some(next)));
    let ids: Vec<_> = store
        .commitments(&may("a"), &all())
        .await
        .unwrap()
        .rows
        .into_iter()
        .map(|it| it.id)
        .collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(store.commitments(&may("b"), &all()).await.unwrap().rows, []);
}

async fn what_is_over_is_not_committed_to(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    let is_past = |error| matches!(error, StoreError::Billing(BillingError::Past { .. }));
    let before = Some(months()[0] - 1);
    let error = make(store, NewCommitment { from: before, ..ten(None) }).await.unwrap_err();
    assert!(is_past(error));
    let made = make(store, ten(None)).await.unwrap();
    let ended = store.end_commitment(&may("a"), &made.id, before).await;
    assert!(is_past(ended.unwrap_err()));
    assert!(is_missing(store.end_commitment(&may("b"), &made.id, None).await));
    for amount in [Micros::ZERO, Micros::new(-1), Micros::new(9_000_000_000_001)] {
        assert!(is_invalid(make(store, NewCommitment { amount, ..ten(None) }).await));
    }
    let error = make(store, ten(Some(0))).await.unwrap_err();
    assert!(matches!(error, StoreError::Billing(BillingError::Never { .. })), "{error}");
}
