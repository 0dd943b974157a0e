//! Alerts, webhooks and what is sent to them.

use server_accounts::{BudgetData, LimitsData, may as permission};
use server_metering::{Meter, Period};
use server_store::{
    AlertOn, Delivery, Firing, NewAlert, NewWebhook, Store, StoreError, Target, Webhook,
};

use crate::accounts::{actions, all, is_invalid, make_key, may, may_in, populated};
use crate::{On, Opened, is_missing};

crate::on_both! {
    webhooks_are_made_listed_and_deleted,
    alerts_are_made_listed_and_deleted,
    they_are_an_organizations_own,
    an_alert_knows_the_limits_of_its_account,
    a_threshold_is_told_once_a_period,
    two_processes_tell_it_once,
    a_message_is_tried_until_it_arrives,
    a_message_is_given_up,
    what_is_gone_gets_nothing_more,
    no_two_processes_have_a_message,
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const EVENT: &str = "budget.threshold_reached";

pub(crate) async fn webhook(store: &Store, organization: &str, events: &[&str]) -> Webhook {
    let events: Vec<String> = events.iter().map(|&event| event.to_owned()).collect();
    let new = NewWebhook { url: "https://a.example/hook", secret: SECRET, events: &events };
    store.create_webhook(&may(organization), &new).await.unwrap()
}

fn rule() -> NewAlert {
    NewAlert {
        project: None,
        key: None,
        on: AlertOn::Budget(Period::Month),
        thresholds: vec![80, 50, 80],
        by_webhook: true,
        addresses: vec!["ops@a.example".to_owned()],
    }
}

pub(crate) async fn alert(store: &Store, organization: &str) -> String {
    store.create_alert(&may(organization), &rule()).await.unwrap().id
}

pub(crate) async fn fire(store: &Store, alert: &str, reached: &[u32], number: u64) -> u64 {
    let (organization, body) = ("a", r#"{"id":"evt_1"}"#);
    let firing = Firing { organization, alert, reached, number, event: EVENT, body };
    store.fire_alert(&firing).await.unwrap()
}

/// One message to a webhook, which is due from now on.
async fn one_message(store: &Store) -> (Webhook, i64) {
    let hook = webhook(store, "a", &[]).await;
    let rule = NewAlert { addresses: Vec::new(), ..rule() };
    let alert = store.create_alert(&may("a"), &rule).await.unwrap().id;
    assert_eq!(fire(store, &alert, &[50], 7).await, 1);
    let page = store.outgoing(&may("a"), false, &all()).await.unwrap();
    (hook, page.rows.iter().find_map(|row| row.next_at).unwrap())
}

async fn webhooks_are_made_listed_and_deleted(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let made = webhook(store, "a", &[]).await;
    assert!(made.id.starts_with("wh_") && made.disabled_at.is_none());
    assert_eq!(made.url, "https://a.example/hook");
    assert_eq!(made.events, ["*"]);
    let other = webhook(store, "a", &["x.y", EVENT]).await;
    assert_eq!(other.events, ["x.y", EVENT]);
    let listed = store.webhooks(&may("a"), &all()).await.unwrap().rows;
    assert!(listed.len() == 2 && listed.contains(&made) && listed.contains(&other));
    store.delete_webhook(&may("a"), &made.id).await.unwrap();
    assert!(is_missing(store.delete_webhook(&may("a"), &made.id).await));
    let log = actions(store, "a").await;
    assert_eq!(log[log.len() - 3..], ["webhook.created", "webhook.created", "webhook.deleted"]);
    for (url, secret) in [
        ("ftp://a.example", SECRET),
        ("https://a.example/a b", SECRET),
        ("https://a.example", "secret"),
        ("", SECRET),
    ] {
        let new = NewWebhook { url, secret, events: &[] };
        assert!(is_invalid(store.create_webhook(&may("a"), &new).await), "{url}");
    }
    for _ in 1..16 {
        webhook(store, "a", &[]).await;
    }
    let new = NewWebhook { url: "https://a.example", secret: SECRET, events: &[] };
    let full = store.create_webhook(&may("a"), &new).await;
    assert!(matches!(full, Err(StoreError::TooMany { max: 16, .. })));
}

async fn alerts_are_made_listed_and_deleted(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let made = store.create_alert(&may("a"), &rule()).await.unwrap();
    assert_eq!(made.rule, NewAlert { thresholds: vec![50, 80], ..rule() });
    let key = make_key(store, "a", "p").await;
    let on_key = NewAlert {
        key: Some(key.id.clone()),
        on: AlertOn::Quota(Meter::OutputTokens, Period::Day),
        ..rule()
    };
    let second = store.create_alert(&may("a"), &on_key).await.unwrap();
    assert_eq!(second.rule.project.as_deref(), Some("p"));
    assert_eq!(second.rule.on, on_key.on);
    let listed = store.alerts(&may("a"), &all()).await.unwrap().rows;
    assert!(listed.len() == 2 && listed.contains(&made) && listed.contains(&second));
    let with_project = |project: &str| NewAlert { project: Some(project.to_owned()), ..rule() };
    assert!(is_missing(store.create_alert(&may("a"), &with_project("none")).await));
    let of_other = NewAlert { project: Some("q".to_owned()), ..on_key.clone() };
    assert!(is_invalid(store.create_alert(&may("a"), &of_other).await));
    assert!(is_missing(store.create_alert(&may("b"), &on_key).await));
    let nobody = NewAlert { by_webhook: false, addresses: Vec::new(), ..rule() };
    let bad_address = NewAlert { addresses: vec!["a b@c".to_owned()], ..rule() };
    for bad in [nobody, bad_address] {
        assert!(is_invalid(store.create_alert(&may("a"), &bad).await), "{bad:?}");
    }
    for thresholds in [vec![], vec![0], vec![101], (1..=9).collect()] {
        let bad = NewAlert { thresholds, ..rule() };
        assert!(is_invalid(store.create_alert(&may("a"), &bad).await), "{bad:?}");
    }
    // Its marks go with it.
    assert_eq!(fire(store, &made.id, &[50], 1).await, 1);
    store.delete_alert(&may("a"), &made.id).await.unwrap();
    assert!(is_missing(store.delete_alert(&may("a"), &made.id).await));
    assert_eq!(fire(store, &made.id, &[50], 2).await, 0);
    assert_eq!(actions(store, "a").await.last().unwrap(), "alert.deleted");
}

async fn they_are_an_organizations_own(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let (hook, rule_of_a) = (webhook(store, "a", &[]).await, alert(store, "a").await);
    fire(store, &rule_of_a, &[50], 1).await;
    assert!(is_missing(store.delete_webhook(&may("b"), &hook.id).await));
    assert!(is_missing(store.delete_alert(&may("b"), &rule_of_a).await));
    assert!(store.webhooks(&may("b"), &all()).await.unwrap().rows.is_empty());
    assert!(store.alerts(&may("b"), &all()).await.unwrap().rows.is_empty());
    assert!(store.outgoing(&may("b"), false, &all()).await.unwrap().rows.is_empty());
    // Who may all in a project may nothing of this.
    let narrow = may_in::<permission::WriteWebhooks>("a", "p");
    assert!(is_missing(store.create_alert(&narrow, &rule()).await));
    assert!(is_missing(store.webhooks(&narrow, &all()).await));
    assert!(is_missing(store.outgoing(&narrow, false, &all()).await));
}

async fn an_alert_knows_the_limits_of_its_account(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let budget = |amount: &str| LimitsData {
        budgets: vec![BudgetData { period: "month".to_owned(), amount: amount.to_owned() }],
        ..LimitsData::default()
    };
    let key = make_key(store, "b", "p").await;
    store.set_project_limits(&may("b"), "p", &budget("2")).await.unwrap();
    store.set_key_limits(&may("b"), &key.id, &budget("3")).await.unwrap();
    let first = alert(store, "a").await;
    for (project, key) in [(None, None), (Some("p"), None), (None, Some(key.id.as_str()))] {
        let (project, key) = (project.map(str::to_owned), key.map(str::to_owned));
        store.create_alert(&may("b"), &NewAlert { project, key, ..rule() }).await.unwrap();
    }
    let part = store.armed_alerts(("", ""), 1).await.unwrap();
    assert_eq!(part.next, Some(("a".to_owned(), first)));
    let next = part.next.unwrap();
    let rest = store.armed_alerts((&next.0, &next.1), 9).await.unwrap();
    assert_eq!(rest.next, None);
    let limits = |armed: &server_store::ArmedAlerts| {
        let level = |rule: &NewAlert| (rule.project.is_some(), rule.key.is_some());
        [(false, false), (true, false), (true, true)].map(|wanted| {
            let found = armed.alerts.iter().find(|it| level(&it.alert.rule) == wanted);
            found.unwrap().limits.clone()
        })
    };
    assert_eq!(limits(&rest), [LimitsData::default(), budget("2"), budget("3")]);
    store.revoke_key(&may("b"), &key.id).await.unwrap();
    let rest = store.armed_alerts((&next.0, &next.1), 9).await.unwrap();
    assert_eq!(limits(&rest)[2], LimitsData::default());
}

async fn a_threshold_is_told_once_a_period(on: On) {
    let Opened { store, .. } = &populated(on).await;
    webhook(store, "a", &["other.event"]).await;
    let hook = webhook(store, "a", &[EVENT]).await;
    webhook(store, "b", &[]).await;
    let alert = alert(store, "a").await;
    // A mail, and the webhook that wants this event.
    assert_eq!(fire(store, &alert, &[50], 7).await, 2);
    assert_eq!(fire(store, &alert, &[50], 7).await, 0);
    assert_eq!(fire(store, &alert, &[50, 80], 7).await, 2);
    assert_eq!(fire(store, &alert, &[50, 80], 7).await, 0);
    // Both at once are told by one message to each, and the lower one not later.
    assert_eq!(fire(store, &alert, &[50, 80], 8).await, 2);
    assert_eq!(fire(store, &alert, &[50], 8).await, 0);
    assert_eq!(fire(store, &alert, &[50, 80], 7).await, 0, "a clock was set back");
    let page = store.outgoing(&may("a"), false, &all()).await.unwrap();
    let num = |kind: &str, target: &str| {
        page.rows.iter().filter(|it| it.kind == kind && it.target == target).count()
    };
    assert_eq!(
        (num("webhook", &hook.id), num("mail", "ops@a.example"), page.rows.len()),
        (3, 3, 6)
    );
}

async fn two_processes_tell_it_once(on: On) {
    let opened = populated(on).await;
    let (beside, alert) = (opened.beside().await, alert(&opened.store, "a").await);
    for number in 1..6 {
        let (one, other) = tokio::join!(
            fire(&opened.store, &alert, &[50, 80], number),
            fire(&beside, &alert, &[50, 80], number)
        );
        assert_eq!(one + other, 1, "{number}");
    }
    beside.close().await;
}

async fn a_message_is_tried_until_it_arrives(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let (hook, at) = one_message(store).await;
    assert!(store.take_deliveries(at - 1, 9).await.unwrap().is_empty());
    let taken = store.take_deliveries(at, 9).await.unwrap();
    let [first] = &*taken else { panic!("{taken:?}") };
    let target = Target::Webhook { id: hook.id, url: hook.url, secret: SECRET.to_owned() };
    assert_eq!((&first.target, first.attempt, first.event.as_str()), (&target, 1, EVENT));
    assert_eq!(first.body, r#"{"id":"evt_1"}"#);
    assert!(!format!("{first:?}").contains("whsec_"));
    // Nobody else has it for a while; after that, its process was killed.
    assert!(store.take_deliveries(at + 179, 9).await.unwrap().is_empty());
    let again = store.take_deliveries(at + 180, 9).await.unwrap().remove(0);
    assert_eq!((&again.id, again.attempt), (&first.id, 2));
    // What the first one says now is not asked any more.
    store.failed(first, at + 181, "late", false).await.unwrap();
    store.failed(&again, at + 181, "status 500", false).await.unwrap();
    let listed = store.outgoing(&may("a"), false, &all()).await.unwrap().rows.remove(0);
    assert_eq!(listed.last_error.as_deref(), Some("status 500"));
    assert_eq!((listed.next_at, listed.attempts), (Some(at + 191), 2));
    assert!(store.take_deliveries(at + 190, 9).await.unwrap().is_empty());
    let third = store.take_deliveries(at + 191, 9).await.unwrap().remove(0);
    store.delivered(&third).await.unwrap();
    assert!(store.take_deliveries(at + 1_000_000, 9).await.unwrap().is_empty());
    let listed = store.outgoing(&may("a"), false, &all()).await.unwrap().rows.remove(0);
    assert!(listed.done_at.is_some() && listed.failed_at.is_none() && listed.next_at.is_none());
    assert_eq!(listed.last_error, None);
    let done_at = listed.done_at.unwrap();
    assert_eq!(store.sweep_outbox(done_at + 30 * 86_400).await.unwrap(), 0);
    assert_eq!(store.sweep_outbox(done_at + 30 * 86_400 + 1).await.unwrap(), 1);
}

async fn a_message_is_given_up(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let (_, mut at) = one_message(store).await;
    for attempt in 1..=12 {
        let taken: Vec<Delivery> = store.take_deliveries(at, 9).await.unwrap();
        assert_eq!(taken[0].attempt, attempt);
        store.failed(&taken[0], at, "status 500", false).await.unwrap();
        at += 6 * 60 * 60;
    }
    assert!(store.take_deliveries(at, 9).await.unwrap().is_empty());
    let failed = store.outgoing(&may("a"), true, &all()).await.unwrap().rows;
    assert_eq!((failed.len(), failed[0].attempts), (1, 12));
    assert!(failed[0].failed_at.is_some() && failed[0].next_at.is_none());
}

async fn what_is_gone_gets_nothing_more(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let (hook, at) = one_message(store).await;
    let taken = store.take_deliveries(at, 9).await.unwrap();
    store.failed(&taken[0], at, "status 410", true).await.unwrap();
    let listed = store.webhooks(&may("a"), &all()).await.unwrap().rows;
    assert_eq!((listed[0].id.as_str(), listed[0].disabled_at), (hook.id.as_str(), Some(at)));
    assert_eq!(store.outgoing(&may("a"), true, &all()).await.unwrap().rows.len(), 1);
    // One that is deleted while a message to it waits.
    let (hook, at) = one_message(store).await;
    store.delete_webhook(&may("a"), &hook.id).await.unwrap();
    assert!(store.take_deliveries(at, 9).await.unwrap().is_empty());
    assert_eq!(store.outgoing(&may("a"), true, &all()).await.unwrap().rows.len(), 2);
}

async fn no_two_processes_have_a_message(on: On) {
    let opened = populated(on).await;
    let (beside, store) = (opened.beside().await, &opened.store);
    for _ in 0..8 {
        webhook(store, "a", &[]).await;
    }
    let alert = alert(store, "a").await;
    assert_eq!(fire(store, &alert, &[50], 1).await, 9);
    let at = store.outgoing(&may("a"), false, &all()).await.unwrap().rows[0].next_at.unwrap() + 1;
    let (one, other) = tokio::join!(store.take_deliveries(at, 6), beside.take_deliveries(at, 6));
    let mut ids: Vec<String> =
        one.unwrap().into_iter().chain(other.unwrap()).map(|delivery| delivery.id).collect();
    let rest = store.take_deliveries(at, 9).await.unwrap();
    ids.extend(rest.into_iter().map(|delivery| delivery.id));
    assert_eq!(ids.len(), 9);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 9, "one was taken twice");
    beside.close().await;
}
