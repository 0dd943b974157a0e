//! What is billed by the clock: made, shown, and in what was used.

use serde_json::json;
use server_metering::{Micros, UnixMillis};
use server_store::NewCommitment;

use crate::world::{World, operator, unix};

const HOUR: i64 = 3_600;

#[tokio::test]
async fn a_provision_is_made_billed_told_and_ended() {
    let world = World::new().await;
    let hour = unix() / HOUR * HOUR;
    let at = |secs: i64| UnixMillis((secs * 1000).unsigned_abs());
    assert_eq!(world.store.count_hour(at(hour)).await.unwrap(), None);
    let path = format!("/api/v1/organization/projects/{}/provisions", world.a.project);
    let body = json!({"model": "llama", "units": 3, "expires_at": hour + 5 * HOUR});
    let made = world.post(&path, body).await.ok();
    assert_eq!(
        made,
        json!({"object": "provision", "id": made["id"], "project_id": world.a.project,
            "model": "llama", "units": 3, "starts_at": hour, "expires_at": hour + 5 * HOUR,
            "created_at": made["created_at"]})
    );
    let list = world.get("/api/v1/organization/provisions").await.ok();
    assert!(list["data"].as_array().unwrap().contains(&made));
    assert_eq!(world.store.count_hour(at(hour + HOUR)).await.unwrap().unwrap().len(), 3);
    // Three units of one and two of the other, and no requests.
    let query = format!("start_time={hour}&end_time={}", hour + HOUR);
    let used = world.get(&format!("/api/v1/organization/usage?{query}")).await.ok();
    assert_eq!((&used["requests"], &used["provisioned_hours"]), (&json!(0), &json!(5)));
    let costs =
        format!("/v1/organization/costs?{query}&group_by[]=line_item&group_by[]=project_id");
    let costs = world.get(&costs).await.ok();
    let results = costs["data"][0]["results"].as_array().unwrap();
    let items: Vec<_> = results.iter().map(|it| (&it["line_item"], &it["project_id"])).collect();
    let project = json!(world.a.project);
    assert_eq!(items, [(&json!("llama"), &project), (&json!("mock"), &project)]);
    let lines = world.get(&format!("/api/v1/organization/usage/export?{query}")).await.text;
    let line = format!("provisioned:{}:{}", hour / HOUR, made["id"].as_str().unwrap());
    assert!(lines.contains(&line) && lines.contains("\"api_key_id\":\"-\""), "{lines}");
    let end = format!("/api/v1/organization/provisions/{}/end", world.a.provision);
    let ended = world.post(&end, json!(null)).await.ok();
    assert!(ended["expires_at"].as_i64().unwrap() > unix() - 1);
    assert_eq!(world.post(&end, json!(null)).await.error().0, 404);
}

#[tokio::test]
async fn what_cannot_be_provisioned_is_refused() {
    let world = World::new().await;
    let path = format!("/api/v1/organization/projects/{}/provisions", world.a.project);
    for body in [
        json!({"model": "llama", "units": 0}),
        json!({"model": "", "units": 1}),
        json!({"model": "llama", "units": 1, "starts_at": 1}),
        json!({"model": "llama", "units": 1, "expires_at": 1}),
        json!({"model": "llama", "units": 1, "other": 1}),
    ] {
        assert_eq!(world.post(&path, body.clone()).await.error().0, 400, "{body}");
    }
}

#[tokio::test]
async fn commitments_are_shown_to_whom_they_are_of() {
    let world = World::new().await;
    let new = NewCommitment { amount: Micros::new(5_000_000), from: None, months: Some(1) };
    let made = world.store.create_commitment(&operator(&world.a.id), &new).await.unwrap();
    let list = world.get("/api/v1/organization/commitments").await.ok();
    let (starts_at, expires_at) = (made.from / 1000, made.until.unwrap() / 1000);
    assert_eq!(
        list["data"],
        json!([{"object": "commitment", "id": made.id, "amount": "5.00", "currency": "eur",
            "starts_at": starts_at, "expires_at": expires_at, "created_at": made.created_at}])
    );
}
