//! The audit log: listed, filtered, verified, exported.

use serde_json::{Value, json};

use crate::world::{World, unix};

const LOGS: &str = "/v1/organization/audit_logs";

fn types(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|it| it["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_was_done_is_listed_the_newest_first() {
    let world = World::new().await;
    let made = world.post("/v1/organization/projects", json!({"name": "Search"})).await.ok();
    let id = made["id"].as_str().unwrap();
    world.post(&format!("/v1/organization/projects/{id}/archive"), Value::Null).await.ok();
    let list = world.get(&format!("{LOGS}?limit=2")).await.ok();
    assert_eq!(types(&list), ["project.archived", "project.created"]);
    assert_eq!(list["has_more"], true);
    let event = &list["data"][1];
    assert!((unix() - event["effective_at"].as_i64().unwrap()).abs() < 60, "{event}");
    assert_eq!(event["project"], json!({"id": id}));
    assert_eq!(
        event["actor"],
        json!({"type": "api_key",
        "api_key": {"id": world.a.admin, "ip_address": null}})
    );
    assert_eq!(event["project.created"], json!({"id": id, "data": {"name": "Search"}}));
    // What was done beside the server was the operator.
    let first =
        world.get(&format!("{LOGS}?limit=100&event_types[]=organization.created")).await.ok();
    assert_eq!(first["data"][0]["actor"], json!({"type": "operator"}));
    let filters = [
        (format!("project_ids[]={id}"), 2),
        (format!("resource_ids[]={id}&event_types[]=project.archived"), 1),
        (format!("actor_ids[]={}", world.a.admin), 2),
        (format!("actor_ids[]={}&event_types=project.created", world.a.admin), 1),
        (format!("effective_at[gt]={}", unix() + 100), 0),
        (format!("project_ids[]={id}&effective_at[lte]={}", unix() + 100), 2),
        (format!("effective_at[lt]={}", unix() - 1000), 0),
    ];
    for (filter, expected) in filters {
        let list = world.get(&format!("{LOGS}?{filter}")).await.ok();
        assert_eq!(types(&list).len(), expected, "{filter}: {list}");
    }
    let second = list["last_id"].as_str().unwrap();
    let after = world.get(&format!("{LOGS}?limit=1&after={second}")).await.ok();
    let third = after["first_id"].as_str().unwrap();
    let before = world.get(&format!("{LOGS}?limit=2&before={third}")).await.ok();
    assert_eq!(before["data"], list["data"]);
    assert_eq!(before["has_more"], false);
}

#[tokio::test]
async fn the_log_is_verified_and_exported() {
    let world = World::new().await;
    let verified = world.post("/api/v1/organization/audit/verify", Value::Null).await.ok();
    let num = verified["num_records"].as_u64().unwrap();
    assert_eq!(
        verified,
        json!({"object": "organization.audit_verification", "valid": true,
        "num_records": num, "error": null})
    );
    let lines = world.get("/api/v1/organization/audit/export").await;
    assert_eq!(lines.status.as_u16(), 200);
    let rows: Vec<Value> =
        lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len() as u64, num);
    for (row, position) in rows.iter().zip(1..) {
        assert_eq!(
            (&row["position"], &row["organization_id"]),
            (&json!(position), &json!(world.a.id))
        );
        assert_eq!(row["hash"].as_str().unwrap().len(), 64);
    }
    let csv = world.get("/api/v1/organization/audit/export?format=csv").await.text;
    let mut lines = csv.split_terminator("\r\n");
    assert!(lines.next().unwrap().starts_with("\"organization_id\",\"position\",\"id\","));
    assert_eq!(lines.count() as u64, num);
    let filtered = "/api/v1/organization/audit/export?event_types[]=project.created";
    assert_eq!(world.get(filtered).await.text.lines().count(), 1);
}
