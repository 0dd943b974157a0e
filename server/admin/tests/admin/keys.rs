//! Keys: made, shown once, rotated, revoked; those of projects and of the organization.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, unix};

const ADMIN_KEYS: &str = "/v1/organization/admin_api_keys";

/// Whether a key of a project is let in: a response that is not there is looked for.
async fn is_let_in(world: &World, key: &str) -> bool {
    let answer = world.ask(key, "GET", "/v1/responses/resp_none", Value::Null).await;
    assert!([404, 401].contains(&answer.status.as_u16()), "{}", answer.text);
    answer.status == StatusCode::NOT_FOUND
}

#[tokio::test]
async fn keys_of_a_project_are_listed_as_openai_does() {
    let world = World::new().await;
    let path = format!("/v1/organization/projects/{}/api_keys", world.a.project);
    let list = world.get(&path).await.ok();
    let data = list["data"].as_array().unwrap();
    assert_eq!(data.len(), 2);
    let of = |owner: &str| data.iter().find(|key| key["owner"]["type"] == owner).unwrap();
    let key = of("user");
    let secret = &world.a.key_secret;
    let (begin, end) = (&secret[..7], &secret[secret.len() - 4..]);
    assert_eq!(
        *key,
        json!({
        "object": "organization.project.api_key", "id": world.a.key, "name": "alpha key",
        "redacted_value": format!("{begin}…{end}"), "created_at": key["created_at"],
        "last_used_at": null, "expires_at": null, "owner_project_access": "active",
        "owner": {"type": "user", "user": {"object": "organization.project.user",
            "id": world.a.developer, "name": "alpha developer",
            "email": "alpha.developer@example.com", "role": "member",
            "created_at": key["owner"]["user"]["created_at"]}}})
    );
    let account = &of("service_account")["owner"]["service_account"];
    assert_eq!(
        (&account["id"], &account["name"]),
        (&json!(world.a.service_account), &json!("alpha robot"))
    );
    let one = format!("{path}/{}", world.a.key);
    assert_eq!(world.get(&one).await.ok(), *key);
    assert!(is_let_in(&world, secret).await);
    let deleted = world.delete(&one).await.ok();
    assert_eq!(
        deleted,
        json!({"object": "organization.project.api_key.deleted",
        "id": world.a.key, "deleted": true})
    );
    assert!(!is_let_in(&world, secret).await);
    assert_eq!(world.get(&one).await.error().0, 404);
    assert_eq!(world.delete(&one).await.error().0, 404);
    // A key of another project of the same organization is not in this one.
    let other = world.post("/v1/organization/projects", json!({"name": "other"})).await.ok();
    let other = other["id"].as_str().unwrap();
    let robots = &of("service_account")["id"].as_str().unwrap();
    let elsewhere = format!("/v1/organization/projects/{other}/api_keys/{robots}");
    assert_eq!(world.get(&elsewhere).await.error().0, 404);
    assert_eq!(world.delete(&elsewhere).await.error().0, 404);
}

#[tokio::test]
async fn a_key_is_made_with_scopes_shown_once_rotated_and_ended() {
    let world = World::new().await;
    let path = format!("/api/v1/organization/projects/{}/keys", world.a.project);
    let end = unix() + 1000;
    let body = json!({"name": "ci", "expires_at": end,
        "scopes": {"models": ["mock"], "networks": ["10.0.0.0/8"]},
        "limits": {"requests_per_minute": 5}});
    let made = world.post(&path, body).await.ok();
    let first = made["value"].as_str().unwrap();
    assert!(first.starts_with("ab-"), "{first}");
    assert_eq!(made["scopes"], json!({"models": ["mock"], "networks": ["10.0.0.0/8"]}));
    assert_eq!(made["limits"], json!({"requests_per_minute": 5}));
    assert_eq!((&made["expires_at"], &made["owner"]["type"]), (&json!(end), &json!("operator")));
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    let shown = world.get(&one).await;
    assert!(!shown.text.contains(first) && shown.ok()["value"].is_null());
    assert!(!world.get(&path).await.text.contains(first));
    // From nowhere that is known it is not let in; for everywhere it is.
    let key = &world.a.admin_secret;
    let patch = json!({"name": "cd", "scopes": {}, "expires_at": null});
    let changed = world.ask(key, "PATCH", &one, patch).await.ok();
    assert_eq!((&changed["name"], &changed["scopes"]), (&json!("cd"), &json!({})));
    assert!(changed["expires_at"].is_null());
    assert!(is_let_in(&world, first).await);
    let rotate = format!("{one}/rotate");
    let rotated = world.post(&rotate, json!({"overlap_seconds": 1000})).await.ok();
    let second = rotated["value"].as_str().unwrap();
    assert!(is_let_in(&world, first).await && is_let_in(&world, second).await);
    let third = world.post(&rotate, json!({"overlap_seconds": 0})).await.ok();
    let third = third["value"].as_str().unwrap();
    assert!(!is_let_in(&world, first).await && !is_let_in(&world, second).await);
    assert!(is_let_in(&world, third).await);
    assert_eq!(
        world.post(&rotate, json!({"overlap_seconds": 90 * 86_400 + 1})).await.error().0,
        400
    );
    world.delete(&one).await.ok();
    assert!(!is_let_in(&world, third).await);
    for bad in [
        json!({"name": "x", "expires_at": 5}),
        json!({"name": "x", "scopes": {"endpoints": ["v1"]}}),
        json!({"name": "x", "scopes": {"networks": ["here"]}}),
        json!({"name": "x", "budget": "5"}),
        json!({}),
    ] {
        assert_eq!(world.post(&path, bad.clone()).await.error().0, 400, "{bad}");
    }
    let robots = json!({"name": "r", "service_account_id": world.a.service_account});
    let made = world.post(&path, robots).await.ok();
    assert_eq!(made["owner"]["service_account"]["id"], json!(world.a.service_account));
}

#[tokio::test]
async fn admin_keys_are_made_for_no_more_than_the_one_that_asks() {
    let world = World::new().await;
    let body = json!({"name": "ops", "expires_in_seconds": 1000, "role": "viewer"});
    let before = unix();
    let made = world.post(ADMIN_KEYS, body).await.ok();
    // The clock may go on while it is made.
    let expires_at = made["expires_at"].as_i64().unwrap();
    assert!((before + 1000..=unix() + 1000).contains(&expires_at), "{made}");
    let (id, value) = (made["id"].as_str().unwrap(), made["value"].as_str().unwrap());
    assert!(value.starts_with("ab-admin-"), "{value}");
    assert_eq!(
        made,
        json!({
        "object": "organization.admin_api_key", "id": id, "name": "ops", "value": value,
        "redacted_value": made["redacted_value"], "created_at": made["created_at"],
        "last_used_at": null, "expires_at": expires_at,
        "owner": {"type": "user", "object": "organization.user", "id": world.a.owner,
            "role": "viewer"}})
    );
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("value");
    let one = format!("{ADMIN_KEYS}/{id}");
    assert_eq!(world.get(&one).await.ok(), shown);
    let list = world.get(&format!("{ADMIN_KEYS}?order=desc")).await.ok();
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
    let refused = world.ask(value, "POST", "/v1/organization/projects", json!({"name": "x"})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    // Without a role, that of the key that asks.
    let heir = world.post(ADMIN_KEYS, json!({"name": "heir"})).await.ok();
    assert_eq!(heir["owner"]["role"], "owner");
    // A role that may make admin keys and little else makes none that may more.
    let role = json!({"name": "keeper",
        "permissions": ["admin_keys.write", "members.read", "usage.read"]});
    world.post("/api/v1/organization/roles", role).await.ok();
    let keeper = world.post(ADMIN_KEYS, json!({"name": "k", "role": "keeper"})).await.ok();
    let keeper = keeper["value"].as_str().unwrap();
    let ask = |role: &str| {
        let (world, body) = (&world, json!({"name": "x", "role": role}));
        async move { world.ask(keeper, "POST", ADMIN_KEYS, body).await }
    };
    assert_eq!(ask("owner").await.error().0, 403);
    ask("keeper").await.ok();
    assert_eq!(ask("nobody").await.error().0, 404);
    // Nor does it end one that may more; its like, it may.
    let mighty = format!("{ADMIN_KEYS}/{}", world.a.admin);
    let refused = world.ask(keeper, "DELETE", &mighty, Value::Null).await;
    assert_eq!(refused.error().1.as_deref(), Some("insufficient_permissions"));
    let like = ask("keeper").await.ok();
    let like = format!("{ADMIN_KEYS}/{}", like["id"].as_str().unwrap());
    world.ask(keeper, "DELETE", &like, Value::Null).await.ok();
    let deleted = world.delete(&one).await.ok();
    assert_eq!(deleted["object"], "organization.admin_api_key.deleted");
    assert_eq!(world.get(&one).await.error().0, 404);
    let late = world.post(ADMIN_KEYS, json!({"name": "x", "expires_in_seconds": 0})).await;
    assert_eq!(late.error().2.as_deref(), Some("expires_in_seconds"));
}
