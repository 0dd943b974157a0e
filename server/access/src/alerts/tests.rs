//! Alerts from what was used to the receiver, on a receiver and a mailbox of the test's own.

mod place;

use std::sync::atomic::Ordering;

use server_store::{BillingLetter, BillingUpdate};

use self::place::{DECEMBER, NOVEMBER, Place, all, may, receiver};
use super::*;

#[tokio::test]
async fn an_alert_is_told_once_a_period_and_in_the_next_again() {
    let place = Place::new().await;
    place.webhook("http://a.example").await;
    place.alert(&[]).await;
    let mut watcher = place.watcher();
    place.spend(499);
    assert_eq!(watcher.check().await.unwrap(), 0);
    place.spend(1);
    assert_eq!(watcher.check().await.unwrap(), 1);
    assert_eq!(watcher.check().await.unwrap(), 0);
    // Neither by a server that was started anew.
    assert_eq!(place.watcher().check().await.unwrap(), 0);
    place.spend(475);
    assert_eq!(watcher.check().await.unwrap(), 1);
    place.clock.0.store(DECEMBER, Ordering::SeqCst);
    assert_eq!(watcher.check().await.unwrap(), 0);
    place.spend(900);
    assert_eq!(watcher.check().await.unwrap(), 1);
    assert_eq!(watcher.check().await.unwrap(), 0);
    let taken = place.store.take_deliveries(unix_time(), 9).await.unwrap();
    let mut told: Vec<(i64, u64, u64, String)> = Vec::new();
    for delivery in &taken {
        let event: serde_json::Value = serde_json::from_str(&delivery.body).unwrap();
        assert_eq!(
            (&event["object"], &event["type"]),
            (&"event".into(), &delivery.event.as_str().into())
        );
        assert_eq!(event["type"], "budget.threshold_reached");
        let data = &event["data"];
        assert_eq!((&data["organization_id"], &data["limit"]), (&"a".into(), &"10.00".into()));
        assert_eq!((&data["period"], &data["project_id"]), (&"month".into(), &().into()));
        assert_eq!(data["currency"], "eur");
        let number = |name: &str| data[name].as_u64().unwrap();
        let used = data["used"].as_str().unwrap().to_owned();
        let at = event["created_at"].as_i64().unwrap();
        told.push((at, number("threshold"), number("percent"), used));
    }
    told.sort();
    let at = |millis: u64| i64::try_from(millis / 1000).unwrap();
    let expected = [
        (at(NOVEMBER), 50, 50, "5.00".to_owned()),
        (at(NOVEMBER), 80, 97, "9.75".to_owned()),
        (at(DECEMBER), 80, 90, "9.00".to_owned()),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_webhook_is_signed_and_tried_until_it_is_taken_once() {
    let place = Place::new().await;
    let (url, mut told) = receiver(&["500 Oh", "200 OK"]).await;
    place.webhook(&url).await;
    place.alert(&[]).await;
    place.spend(500);
    assert_eq!(place.watcher().check().await.unwrap(), 1);
    let (sender, now) = (place.sender(Outbound::to_any().unwrap()), unix_time());
    assert_eq!(place.send(&sender, now).await.len(), 1);
    let first = told.recv().await.unwrap();
    let failed = place.outgoing().await.remove(0);
    assert_eq!((failed.attempts, failed.next_at), (1, Some(now + 5)));
    assert!(failed.last_error.unwrap().contains("500"));
    assert!(place.send(&sender, now + 4).await.is_empty());
    assert_eq!(place.send(&sender, now + 5).await.len(), 1);
    let second = told.recv().await.unwrap();
    assert_eq!(first.verified(), second.verified());
    assert_eq!(first.verified(), failed.id);
    assert_eq!(
        (&first.body, &first.headers["content-type"]),
        (&second.body, &"application/json".to_owned())
    );
    assert!(place.outgoing().await[0].done_at.is_some());
    assert!(place.send(&sender, now + 1_000_000).await.is_empty());
}

#[tokio::test]
async fn no_redirect_is_followed_and_who_is_gone_is_left_alone() {
    let place = Place::new().await;
    let (url, mut told) = receiver(&["302 Found\r\nlocation: /other", "410 Gone"]).await;
    place.webhook(&url).await;
    place.alert(&[]).await;
    place.spend(500);
    place.watcher().check().await.unwrap();
    let (sender, now) = (place.sender(Outbound::to_any().unwrap()), unix_time());
    place.send(&sender, now).await;
    assert!(place.outgoing().await[0].last_error.as_ref().unwrap().contains("302"));
    place.send(&sender, now + 5).await;
    let failed = place.outgoing().await.remove(0);
    assert!(failed.failed_at.is_some() && failed.attempts == 2);
    assert!(place.store.webhooks(&may(), &all()).await.unwrap().rows[0].disabled_at.is_some());
    assert!(told.recv().await.is_some() && told.recv().await.is_some());
    assert!(told.recv().await.is_none());
}

#[tokio::test]
async fn nothing_is_sent_to_this_machine_unless_that_is_allowed() {
    let place = Place::new().await;
    let (url, mut told) = receiver(&["200 OK"]).await;
    place.webhook(&url).await;
    place.webhook(&url.replace("127.0.0.1", "localhost")).await;
    place.alert(&[]).await;
    place.spend(500);
    assert_eq!(place.watcher().check().await.unwrap(), 2);
    let sender = place.sender(Outbound::to_public().unwrap());
    assert_eq!(place.send(&sender, unix_time()).await.len(), 2);
    for failed in place.outgoing().await {
        assert!(failed.last_error.unwrap().contains("private"), "{}", failed.target);
    }
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn mail_says_what_was_used_of_what() {
    let place = Place::new().await;
    place.alert(&["ops@a.example"]).await;
    place.spend(850);
    assert_eq!(place.watcher().check().await.unwrap(), 1);
    // One that cannot be written down is tried again.
    std::fs::write(place.letters(), "a file is in the way").unwrap();
    let (sender, now) = (place.sender(Outbound::to_public().unwrap()), unix_time());
    place.send(&sender, now).await;
    assert!(place.outgoing().await[0].last_error.as_ref().unwrap().contains("letters"));
    std::fs::remove_file(place.letters()).unwrap();
    place.send(&sender, now + 5).await;
    let sent = place.outgoing().await.remove(0);
    assert!(sent.done_at.is_some(), "{:?}", sent.last_error);
    let [letter] = &*place.written() else { panic!("one letter") };
    assert!(letter.contains("To: ops@a.example"), "{letter}");
    assert!(letter.contains("organization a") && letter.contains("85 %"), "{letter}");
    assert!(letter.contains("8.50 EUR of 10.00 EUR a month"), "{letter}");
}

#[tokio::test]
async fn owners_are_told_of_invoices() {
    let place = Place::new().await;
    place.store.set_billing_email(&may(), Some("bills@a.example")).await.unwrap();
    let update = BillingUpdate {
        state: "{}".to_owned(),
        next_tick: None,
        customer: None,
        spans: Vec::new(),
        notices: vec!["1".to_owned(), "2".to_owned(), "3".to_owned()],
        plan: None,
        suspended: None,
    };
    assert!(place.store.save_billing(&may(), 0, &update).await.unwrap());
    let notices = place.store.unsent_notices(9).await.unwrap();
    let (organization, url) = ("Acme".to_owned(), "https://pay.example/1".to_owned());
    let (amount, since) = (Some("23.80 EUR".to_owned()), 1_795_824_000);
    let letters = [
        BillingLetter::Reminder {
            organization: organization.clone(),
            amount: amount.clone(),
            since,
            suspended_at: since + 14 * 86_400,
            url: url.clone(),
        },
        BillingLetter::Suspended {
            organization: organization.clone(),
            amount,
            since,
            url: url.clone(),
        },
        BillingLetter::Restored { organization, url },
    ];
    for (notice, letter) in notices.iter().zip(&letters) {
        assert_eq!(place.store.write_letters(notice, letter).await.unwrap(), Some(1));
    }
    place.send(&place.sender(Outbound::to_public().unwrap()), unix_time()).await;
    let written = place.written().join("\n");
    for part in [
        "To: bills@a.example",
        "A payment of 23.80 EUR for \"Acme\" at Agentbase was due on 2026-11-28",
        "are refused from 2026-12-12 on",
        "Subject: \"Acme\" at Agentbase is suspended",
        "Subject: \"Acme\" at Agentbase goes on",
        "https://pay.example/1",
    ] {
        assert!(written.contains(part), "{part}: {written}");
    }
    assert!(place.outgoing().await.iter().all(|sent| sent.done_at.is_some()));
}

#[tokio::test]
async fn a_server_watches_sends_and_ends() {
    let place = Place::new().await;
    let (url, mut told) = receiver(&["204 No Content"]).await;
    place.webhook(&url).await;
    place.alert(&[]).await;
    // Its clock is the machine's.
    place.clock.0.store(SystemClock.utc().0, Ordering::SeqCst);
    place.spend(900);
    let options = place.options(Outbound::to_any().unwrap());
    let alerts = Alerts::start(place.store.clone(), Some(place.meters.clone()), options);
    let received = told.recv().await.unwrap();
    alerts.stop().await;
    let sent = place.outgoing().await.remove(0);
    assert_eq!(received.verified(), sent.id);
    assert!(sent.done_at.is_some(), "an end waits for what is being sent");
}
