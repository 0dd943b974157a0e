//! How organizations stand with who is paid: what follows from a state, and what Stripe was told.

use server_accounts::LimitsData;
use server_metering::{Entry, Picos};
use server_store::{BillingSpan, BillingUpdate, Store, StoreError, UsageReport};

use crate::accounts::{actions, may, populated};
use crate::ledger::{HOUR, NOON, entry, path};
use crate::{On, Opened};

crate::on_both! {
    a_state_is_saved_over_the_one_that_it_was_made_of,
    customers_and_notices_are_known,
    limits_and_a_suspension_follow_once_and_an_operator_s_word_stands,
    what_cannot_be_is_refused_with_all_of_it,
    what_counts_is_in_spans_and_is_reported_by_the_hour,
    a_report_begins_and_ends_once,
}

const LATE: &str = "an invoice is past due";

fn update(state: &str) -> BillingUpdate {
    BillingUpdate {
        state: state.to_owned(),
        next_tick: None,
        customer: None,
        spans: Vec::new(),
        notices: Vec::new(),
        plan: None,
        suspended: None,
    }
}

fn plan(name: &str, requests: u64) -> Option<(String, LimitsData)> {
    let limits = LimitsData { requests_per_minute: Some(requests), ..LimitsData::default() };
    Some((name.to_owned(), limits))
}

async fn save(store: &Store, version: i64, update: &BillingUpdate) -> bool {
    store.save_billing(&may("a"), version, update).await.unwrap()
}

/// The organization's requests a minute, and why it is suspended.
async fn stands(store: &Store) -> (Option<u64>, Option<String>) {
    let it = store.organization(&may("a")).await.unwrap();
    (it.limits.requests_per_minute, it.suspended)
}

async fn a_state_is_saved_over_the_one_that_it_was_made_of(on: On) {
    let Opened { store, .. } = &populated(on).await;
    assert_eq!(store.billing_state("a").await.unwrap(), None);
    assert!(!save(store, 1, &update("none")).await, "there is none yet");
    assert!(save(store, 0, &BillingUpdate { next_tick: Some(7), ..update("one") }).await);
    assert!(!save(store, 0, &update("other")).await, "there is one");
    assert_eq!(store.billing_state("a").await.unwrap(), Some(("one".to_owned(), 1)));
    assert_eq!(store.billing_due(6, 10).await.unwrap(), [""; 0]);
    assert_eq!(store.billing_due(7, 10).await.unwrap(), ["a"]);
    assert!(save(store, 1, &update("two")).await);
    assert!(!save(store, 1, &update("late")).await);
    assert_eq!(store.billing_state("a").await.unwrap(), Some(("two".to_owned(), 2)));
    assert_eq!(store.billing_due(i64::MAX, 10).await.unwrap(), [""; 0]);
    assert_eq!(store.billing_state("b").await.unwrap(), None);
    // Of many at once, one is faster.
    let tries = (0..8).map(|_| async { save(store, 2, &update("three")).await });
    let saved = futures_util::future::join_all(tries).await;
    assert_eq!(saved.into_iter().filter(|it| *it).count(), 1);
}

async fn customers_and_notices_are_known(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let first = BillingUpdate {
        customer: Some("cus_1".to_owned()),
        notices: (0..60).map(|idx| format!("{idx}")).collect(),
        ..update("{}")
    };
    assert!(save(store, 0, &first).await);
    let second = BillingUpdate { customer: Some("cus_2".to_owned()), ..first.clone() };
    assert!(save(store, 1, &second).await);
    for customer in ["cus_1", "cus_2"] {
        let of = store.organization_of_customer(customer).await.unwrap();
        assert_eq!(of.as_deref(), Some("a"), "{customer}");
    }
    assert_eq!(store.organization_of_customer("cus_3").await.unwrap(), None);
    assert_eq!(store.billing_customers(None, 10).await.unwrap(), ["a"]);
    assert_eq!(store.billing_customers(Some("a"), 10).await.unwrap(), [""; 0]);
    let newest = store.billing_notices(&may("a"), 2).await.unwrap();
    assert_eq!(newest.iter().map(|it| it.notice.as_str()).collect::<Vec<_>>(), ["59", "58"]);
    assert_eq!(store.billing_notices(&may("b"), 2).await.unwrap(), []);
    // The newest hundred are kept; what was sent is not sent again.
    let unsent = store.unsent_notices(1_000).await.unwrap();
    assert_eq!((unsent.len(), unsent[0].notice.as_str()), (100, "20"));
    assert!(store.notice_sent(&unsent[0], 9).await.unwrap());
    assert!(!store.notice_sent(&unsent[0], 9).await.unwrap());
    assert_eq!(store.unsent_notices(1_000).await.unwrap(), unsent[1..]);
}

async fn limits_and_a_suspension_follow_once_and_an_operator_s_word_stands(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let before = (store.revision().await.unwrap(), actions(store, "a").await.len());
    assert!(save(store, 0, &update("{}")).await);
    assert_eq!(store.revision().await.unwrap(), before.0, "nothing follows from it");

    let pro = BillingUpdate { plan: plan("pro", 600), ..update("{}") };
    assert!(save(store, 1, &pro).await);
    assert_eq!(stands(store).await, (Some(600), None));
    let changes = store.changes(before.0).await.unwrap();
    assert_eq!(changes.organizations[0].limits.requests_per_minute, Some(600));
    // An operator gives more; a later state of the same plan does not take it away.
    let more = LimitsData { requests_per_minute: Some(900), ..LimitsData::default() };
    store.set_organization_limits(&may("a"), &more).await.unwrap();
    let late = BillingUpdate { suspended: Some(LATE.to_owned()), ..pro.clone() };
    assert!(save(store, 2, &late).await);
    assert_eq!(stands(store).await, (Some(900), Some(LATE.to_owned())));
    assert!(save(store, 3, &pro).await);
    assert_eq!(stands(store).await, (Some(900), None));
    let free = BillingUpdate { plan: plan("free", 20), ..update("{}") };
    assert!(save(store, 4, &free).await);
    assert_eq!(stands(store).await, (Some(20), None));

    let log = actions(store, "a").await;
    let [limits, organization] = ["rate_limit.updated", "organization.updated"];
    assert_eq!(log[before.1..], [limits, limits, organization, organization, limits]);
    let log = store.audit_log(&may("a"), &Default::default(), &crate::accounts::all()).await;
    let log = log.unwrap().rows;
    assert_eq!(log.last().unwrap().actor, "billing");
    assert!(log.last().unwrap().detail.contains("\"free\""), "{}", log.last().unwrap().detail);

    // Who was suspended by an operator stays it, whether it is paid or not.
    store.suspend_organization(&may("a"), Some("abuse")).await.unwrap();
    assert!(save(store, 5, &BillingUpdate { suspended: Some(LATE.to_owned()), ..free }).await);
    assert_eq!(stands(store).await.1.as_deref(), Some("abuse"));
    assert!(save(store, 6, &update("{}")).await);
    assert_eq!(stands(store).await, (Some(20), Some("abuse".to_owned())));
}

async fn what_cannot_be_is_refused_with_all_of_it(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let none = store.save_billing(&may("c"), 0, &update("{}")).await;
    assert!(matches!(none, Err(StoreError::NotFound { what: "organization", .. })), "{none:?}");
    let mut wrong = BillingUpdate { plan: plan("pro", 1), ..update("{}") };
    let budget = server_accounts::BudgetData { period: "week".to_owned(), amount: "1".to_owned() };
    wrong.plan.as_mut().unwrap().1.budgets.push(budget);
    let refused = store.save_billing(&may("a"), 0, &wrong).await;
    assert!(matches!(refused, Err(StoreError::Invalid { what: "limits", .. })), "{refused:?}");
    let wrong = BillingUpdate { suspended: Some(String::new()), ..update("{}") };
    assert!(store.save_billing(&may("a"), 0, &wrong).await.is_err());
    assert_eq!(store.billing_state("a").await.unwrap(), None);
    // What is archived may have to be paid.
    store.archive_organization(&may("a")).await.unwrap();
    assert!(save(store, 0, &update("{}")).await);
}

/// Of an organization, at a moment in Unix milliseconds.
fn used(organization: &str, at: i64, picos: i128) -> Entry {
    let mut entry = entry(&format!("{organization}{at}"), at);
    entry.opened.path = path(organization, "p", "k");
    entry.cost = Picos::new(picos);
    entry
}

fn span(subscription: &str, from: i64, until: Option<i64>) -> BillingSpan {
    let (subscription, customer) = (subscription.to_owned(), "cus_1".to_owned());
    BillingSpan { subscription, customer, from: from / 1000, until: until.map(|at| at / 1000) }
}

async fn what_counts_is_in_spans_and_is_reported_by_the_hour(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let minute = HOUR / 60;
    let first = NOON / HOUR;
    let entries = [
        used("a", NOON + minute, 1),
        used("a", NOON + 10 * minute, 10),
        used("a", NOON + 20 * minute, 100),
        used("a", NOON + HOUR, 1_000),
        used("a", NOON + 2 * HOUR - 1, 10_000),
        used("a", NOON + 5 * HOUR + 31 * minute, 100_000),
        used("a", NOON + 5 * HOUR + 50 * minute, 1_000_000),
        used("b", NOON + 10 * minute, 7),
    ];
    store.append_to_ledger(&entries).await.unwrap();
    assert_eq!(store.billing_metered(first + 9, None, 10).await.unwrap(), []);
    // From ten past noon to half past five, in two that overlap; and from ten minutes before six.
    let spans = vec![
        span("sub_1", NOON + 10 * minute, Some(NOON + 90 * minute)),
        span("sub_2", NOON + 60 * minute, Some(NOON + 5 * HOUR + 30 * minute)),
        span("sub_3", NOON + 5 * HOUR + 50 * minute, None),
    ];
    assert!(save(store, 0, &BillingUpdate { spans, ..update("{}") }).await);
    let picos = |hours: &[(i64, i128)]| {
        hours.iter().map(|(hour, sum)| (first + hour, Picos::new(*sum))).collect::<Vec<_>>()
    };
    let all = store.billing_sums(&may("a"), None, first + 9, 10).await.unwrap();
    assert_eq!(all, (Picos::new(0), picos(&[(0, 110), (1, 11_000), (5, 1_000_000)])));
    let one = store.billing_sums(&may("a"), None, first + 9, 1).await.unwrap();
    assert_eq!(one.1, picos(&[(0, 110)]));
    let early = store.billing_sums(&may("a"), Some(first), first + 1, 10).await.unwrap();
    assert_eq!(early, (Picos::new(110), picos(&[])));
    let rest = store.billing_sums(&may("a"), Some(first + 1), first + 9, 10).await.unwrap();
    assert_eq!(rest, (Picos::new(11_110), picos(&[(5, 1_000_000)])));

    let metered = store.billing_metered(first + 9, None, 10).await.unwrap();
    let known = (metered[0].organization.as_str(), metered[0].spans.len(), metered[0].watermark);
    assert_eq!((metered.len(), known), (1, ("a", 3, None)));
    assert_eq!(store.billing_metered(first + 9, Some("a"), 10).await.unwrap(), []);
    assert_eq!(store.billing_metered(first, None, 10).await.unwrap(), []);
    // A span's end may be told later, and what it is of stays.
    let end = vec![span("sub_3", NOON, Some(NOON + 5 * HOUR + 50 * minute))];
    assert!(save(store, 1, &BillingUpdate { spans: end, ..update("{}") }).await);
    let all = store.billing_sums(&may("a"), None, first + 9, 10).await.unwrap();
    assert_eq!(all.1, picos(&[(0, 110), (1, 11_000)]));
}

async fn a_report_begins_and_ends_once(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let spans = vec![span("sub_1", NOON, None)];
    assert!(save(store, 0, &BillingUpdate { spans, ..update("{}") }).await);
    store.append_to_ledger(&[used("a", NOON, 5)]).await.unwrap();
    let hour = NOON / HOUR;
    let report =
        UsageReport { hour, amount: 5, customer: "cus_1".to_owned(), at: 8, begun: NOON / 1000 };
    assert!(!store.begin_usage_report("a", Some(1), &report).await.unwrap());
    let tries = (0..8).map(|_| store.begin_usage_report("a", None, &report));
    let begun = futures_util::future::join_all(tries).await;
    assert_eq!(begun.into_iter().filter(|it| *it.as_ref().unwrap()).count(), 1);
    let metered = store.billing_metered(0, None, 10).await.unwrap();
    assert_eq!(
        metered[0].pending.as_ref(),
        Some(&report),
        "it is pending, whatever the ledger has"
    );
    assert_eq!((metered[0].watermark, metered[0].reported), (None, 0));
    for ended in [hour + 1, hour, hour] {
        store.end_usage_report("a", ended).await.unwrap();
    }
    assert_eq!(store.billing_metered(hour + 9, None, 10).await.unwrap(), [], "all is reported");
    store.append_to_ledger(&[used("a", NOON + HOUR, 5)]).await.unwrap();
    let metered = store.billing_metered(hour + 9, None, 10).await.unwrap().remove(0);
    assert_eq!((metered.watermark, metered.reported, metered.pending), (Some(hour), 5, None));
    let next = UsageReport { hour: hour + 1, ..report };
    assert!(!store.begin_usage_report("a", None, &next).await.unwrap(), "another watermark");
    assert!(store.begin_usage_report("a", Some(hour), &next).await.unwrap());
}
