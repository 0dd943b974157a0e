//! Alerts and webhooks: made, shown and ended; a secret is told once.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use server_metering::Period;
use server_store::{AlertOn, Firing, NewAlert, NewWebhook, Store};

use crate::world::{World, operator};

const WEBHOOKS: &str = "/api/v1/organization/webhooks";
const ALERTS: &str = "/api/v1/organization/alerts";

/// One of each for an organization: the ids.
pub(crate) async fn make(store: &Store, organization: &str, name: &str) -> (String, String) {
    let url = format!("https://{name}.example.com/hook");
    let new = NewWebhook { url: &url, secret: "whsec_none", events: &[] };
    let webhook = store.create_webhook(&operator(organization), &new).await.unwrap();
    let new = NewAlert {
        project: None,
        key: None,
        on: AlertOn::Budget(Period::Month),
        thresholds: vec![90],
        by_webhook: true,
        addresses: Vec::new(),
    };
    let alert = store.create_alert(&operator(organization), &new).await.unwrap();
    (webhook.id, alert.id)
}

/// Those of a list: what was made in one second has no order.
async fn ids(world: &World, path: &str) -> BTreeSet<String> {
    let list = world.get(path).await.ok();
    let id = |it: &Value| it["id"].as_str().unwrap().to_owned();
    list["data"].as_array().unwrap().iter().map(id).collect()
}

fn set<const N: usize>(ids: [&str; N]) -> BTreeSet<String> {
    ids.map(str::to_owned).into()
}

#[tokio::test]
async fn a_webhook_is_made_listed_and_deleted_and_its_secret_told_once() {
    let world = World::new().await;
    let url = "https://example.com/hooks";
    let body = json!({"url": url, "events": ["budget.threshold_reached"]});
    let mut made = world.post(WEBHOOKS, body).await.ok();
    let secret = made.as_object_mut().unwrap().remove("secret").unwrap();
    let secret = secret.as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() > 40);
    assert_eq!(
        made,
        json!({"object": "webhook", "id": made["id"], "url": url,
            "events": ["budget.threshold_reached"], "created_at": made["created_at"],
            "disabled_at": null})
    );
    let list = world.get(WEBHOOKS).await;
    assert!(!list.text.contains("secret") && !list.text.contains("whsec_"), "{}", list.text);
    assert!(list.ok()["data"].as_array().unwrap().contains(&made));
    let log = world.get("/v1/organization/audit_logs").await;
    assert!(log.text.contains("webhook.created") && !log.text.contains(secret), "{}", log.text);
    let other = world.post(WEBHOOKS, json!({"url": url})).await.ok();
    assert_eq!(other["events"], json!(["*"]));
    assert_ne!(other["secret"], secret);
    let path = format!("{WEBHOOKS}/{}", made["id"].as_str().unwrap());
    let deleted = world.delete(&path).await.ok();
    assert_eq!(deleted, json!({"object": "webhook.deleted", "id": made["id"], "deleted": true}));
    let left = set([&world.a.webhook, other["id"].as_str().unwrap()]);
    assert_eq!(ids(&world, WEBHOOKS).await, left);
    assert_eq!(world.delete(&path).await.error().0, 404);
}

#[tokio::test]
async fn what_was_sent_to_a_webhook_is_listed_without_what_it_says() {
    let world = World::new().await;
    let (hook, alert) = (&world.a.webhook, &world.a.alert);
    let (event, body) = ("budget.threshold_reached", r#"{"id":"evt_1","said":"hello"}"#);
    for number in 1..=3 {
        let organization = world.a.id.as_str();
        let firing = Firing { organization, alert, reached: &[90], number, event, body };
        assert_eq!(world.store.fire_alert(&firing).await.unwrap(), 1);
    }
    let path = format!("{WEBHOOKS}/{hook}/deliveries");
    let waiting = world.get(&path).await.ok()["data"].as_array().unwrap().clone();
    assert_eq!(waiting.len(), 3);
    let now = waiting[0]["created_at"].as_i64().unwrap() + 1;
    let taken = world.store.take_deliveries(now, 9).await.unwrap();
    world.store.delivered(&taken[0]).await.unwrap();
    world.store.failed(&taken[1], now, "status 410", true).await.unwrap();
    let failed = world.get(&format!("{path}?failed=true")).await;
    let expected = json!({"object": "webhook.delivery", "id": taken[1].id, "webhook_id": hook,
        "event": event, "status": "failed", "attempts": 1,
        "created_at": taken[1].created_at, "next_attempt_at": null, "delivered_at": null,
        "failed_at": now, "last_error": "status 410"});
    assert_eq!(failed.ok()["data"], json!([expected]));

    let list = world.get(&path).await;
    assert!(!list.text.contains("hello") && !list.text.contains("whsec_"), "{}", list.text);
    let list = list.ok();
    let status = |id: &str| {
        let data = list["data"].as_array().unwrap().iter();
        data.clone().find(|it| it["id"] == id).unwrap()["status"].clone()
    };
    let told = [0, 1, 2].map(|idx| status(&taken[idx].id));
    assert_eq!(told, ["delivered", "failed", "waiting"]);
    let (mut ids, mut after) = (Vec::new(), String::new());
    for has_more in [true, false] {
        let page = world.get(&format!("{path}?limit=2{after}")).await.ok();
        assert_eq!(page["has_more"], has_more);
        ids.extend(page["data"].as_array().unwrap().clone());
        after = format!("&after={}", page["last_id"].as_str().unwrap());
    }
    assert_eq!(json!(ids), list["data"]);
    let refused = world.get(&format!("{WEBHOOKS}/{}/deliveries", world.b.webhook)).await.error();
    assert_eq!(refused.0, 404);
    let refused = world.get(&format!("{path}?failed=perhaps")).await.error();
    assert_eq!((refused.0, refused.2.as_deref()), (400, Some("failed")));
}

#[tokio::test]
async fn an_alert_is_made_listed_and_deleted() {
    let world = World::new().await;
    let body = json!({"key_id": world.a.key, "meter": "output_tokens", "period": "month",
        "thresholds": [95, 50], "addresses": ["ops@example.com"]});
    let made = world.post(ALERTS, body).await.ok();
    assert_eq!(
        made,
        json!({"object": "alert", "id": made["id"], "project_id": world.a.project,
            "key_id": world.a.key, "meter": "output_tokens", "period": "month",
            "thresholds": [50, 95], "by_webhook": false, "addresses": ["ops@example.com"],
            "created_at": made["created_at"]})
    );
    let usual = world.post(ALERTS, json!({})).await.ok();
    assert_eq!(
        usual,
        json!({"object": "alert", "id": usual["id"], "project_id": null, "key_id": null,
            "meter": null, "period": "total", "thresholds": [50, 80, 100], "by_webhook": true,
            "addresses": [], "created_at": usual["created_at"]})
    );
    let list = world.get(ALERTS).await.ok();
    let data = list["data"].as_array().unwrap();
    assert!(data.contains(&made) && data.contains(&usual), "{list}");
    let path = format!("{ALERTS}/{}", made["id"].as_str().unwrap());
    let deleted = world.delete(&path).await.ok();
    assert_eq!(deleted, json!({"object": "alert.deleted", "id": made["id"], "deleted": true}));
    let left = set([&world.a.alert, usual["id"].as_str().unwrap()]);
    assert_eq!(ids(&world, ALERTS).await, left);
    assert_eq!(world.delete(&path).await.error().0, 404);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused() {
    let world = World::new().await;
    for body in [
        json!({"url": "ftp://example.com"}),
        json!({"url": "example.com"}),
        json!({"url": "https://example.com/a b"}),
        json!({"url": ""}),
        json!({"url": "https://example.com", "events": ["a b"]}),
        json!({"url": "https://example.com", "secret": "whsec_mine"}),
        json!({}),
    ] {
        assert_eq!(world.post(WEBHOOKS, body.clone()).await.error().0, 400, "{body}");
    }
    for (body, param) in [
        (json!({"meter": "steps"}), Some("meter")),
        (json!({"period": "year"}), Some("period")),
        (json!({"addresses": ["nobody"]}), Some("addresses")),
        (json!({"addresses": ["a@example.com\r\nBcc: b@example.com"]}), Some("addresses")),
        (json!({"thresholds": [101]}), None),
        (json!({"thresholds": []}), None),
        (json!({"by_webhook": false}), None),
    ] {
        let (status, _, named) = world.post(ALERTS, body.clone()).await.error();
        assert_eq!((status, named.as_deref()), (400, param), "{body}");
    }
    assert_eq!(ids(&world, WEBHOOKS).await, set([&world.a.webhook]));
    assert_eq!(ids(&world, ALERTS).await, set([&world.a.alert]));
}
