//! Who may call the admin API, and what its errors look like.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use server_accounts::Scopes;
use server_http::Peer;
use server_store::NewAdminKey;
use tower::ServiceExt;

use crate::world::{World, operator};

const PROJECTS: &str = "/v1/organization/projects";

async fn admin_key(world: &World, role: &str, scopes: Scopes) -> String {
    let new = NewAdminKey {
        name: role.to_owned(),
        owner: "operator".to_owned(),
        role: role.to_owned(),
        scopes,
        expires_at: None,
    };
    let made = world.store.create_admin_key(&operator(&world.a.id), &new).await.unwrap();
    made.1.expose().to_owned()
}

fn error(status: u16, code: &str) -> (u16, Option<String>, Option<String>) {
    (status, Some(code.to_owned()), None)
}

#[tokio::test]
async fn only_an_admin_key_in_force_gets_in() {
    let world = World::new().await;
    let ask = |key: String| {
        let world = &world;
        async move { world.ask(&key, "GET", PROJECTS, Value::Null).await }
    };
    assert_eq!(ask("ab-wrong".to_owned()).await.error(), error(401, "invalid_api_key"));
    let projects_key = ask(world.a.key_secret.clone()).await;
    assert_eq!(projects_key.error(), error(403, "insufficient_permissions"));
    assert_eq!(ask(world.a.admin_secret.clone()).await.status, StatusCode::OK);
    let request = Request::get(PROJECTS).body(Body::empty()).unwrap();
    let answer = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    // A key that was revoked, and one of an organization that may not go on.
    let path = format!("/v1/organization/admin_api_keys/{}", world.a.admin);
    world.delete(&path).await.ok();
    assert_eq!(ask(world.a.admin_secret.clone()).await.error(), error(401, "invalid_api_key"));
    let why = Some("an invoice is due");
    world.store.suspend_organization(&operator(&world.b.id), why).await.unwrap();
    let suspended = ask(world.b.admin_secret.clone()).await;
    assert_eq!(suspended.status, StatusCode::FORBIDDEN);
    assert!(suspended.text.contains("an invoice is due"), "{}", suspended.text);
}

#[tokio::test]
async fn a_key_may_what_its_role_may() {
    let world = World::new().await;
    let viewer = admin_key(&world, "viewer", Scopes::default()).await;
    let name = json!({"name": "x"});
    let cases = [
        ("GET", PROJECTS, Value::Null, 200),
        ("POST", PROJECTS, name.clone(), 403),
        ("GET", "/v1/organization/users", Value::Null, 403),
        ("GET", "/v1/organization/admin_api_keys", Value::Null, 403),
        ("GET", "/v1/organization/audit_logs", Value::Null, 403),
        ("GET", "/v1/organization/costs?start_time=1", Value::Null, 200),
        ("PUT", "/api/v1/organization/limits", json!({}), 405),
        ("PATCH", "/api/v1/organization", name.clone(), 403),
        ("GET", "/api/v1/organization/export", Value::Null, 403),
    ];
    for (method, path, body, expected) in cases {
        let answer = world.ask(&viewer, method, path, body).await;
        assert_eq!(answer.status.as_u16(), expected, "{method} {path}: {}", answer.text);
        if expected == 403 {
            assert!(answer.text.contains("this needs the permission"), "{}", answer.text);
        }
    }
    // Nobody gives what they have not got.
    let admin = admin_key(&world, "admin", Scopes::default()).await;
    let path = format!("/v1/organization/users/{}", world.a.developer);
    let answer = world.ask(&admin, "POST", &path, json!({"role": "owner"})).await;
    assert_eq!(answer.error(), error(403, "insufficient_permissions"));
}

#[tokio::test]
async fn a_key_is_for_its_endpoints_and_networks_and_so_are_those_that_it_makes() {
    let world = World::new().await;
    let endpoints = vec!["/v1/organization/admin_api_keys".to_owned()];
    let scoped = admin_key(&world, "owner", Scopes { endpoints, ..Scopes::default() }).await;
    let answer = world.ask(&scoped, "GET", PROJECTS, Value::Null).await;
    assert_eq!(answer.error(), error(403, "insufficient_permissions"));
    let path = "/v1/organization/admin_api_keys";
    let made = world.ask(&scoped, "POST", path, json!({"name": "child"})).await.ok();
    let child = made["value"].as_str().unwrap();
    assert_eq!(world.ask(child, "GET", path, Value::Null).await.status, StatusCode::OK);
    assert_eq!(world.ask(child, "GET", PROJECTS, Value::Null).await.status, StatusCode::FORBIDDEN);
    let networks = vec![Scopes::network("10.0.0.0/8").unwrap()];
    let inside = admin_key(&world, "owner", Scopes { networks, ..Scopes::default() }).await;
    let answer = world.ask(&inside, "GET", PROJECTS, Value::Null).await;
    assert_eq!(answer.error(), error(403, "ip_not_authorized"));
    for (address, expected) in [("11.1.2.3", 403), ("::ffff:10.1.2.3", 200)] {
        let mut request = Request::post(PROJECTS)
            .header("authorization", format!("Bearer {inside}"))
            .body(Body::from(r#"{"name":"from afar"}"#))
            .unwrap();
        request.extensions_mut().insert(Peer(address.parse().unwrap()));
        assert_eq!(world.send(request).await.status.as_u16(), expected, "{address}");
    }
    let log = world.get("/v1/organization/audit_logs?limit=1").await.ok();
    assert_eq!(log["data"][0]["actor"]["api_key"]["ip_address"], "10.1.2.3");
}

#[tokio::test]
async fn answers_are_kept_by_nobody_and_keys_that_are_used_are_noted() {
    let world = World::new().await;
    world.follow().await;
    let ask = |key: &str| {
        let request = Request::get(PROJECTS).header("authorization", format!("Bearer {key}"));
        world.router.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let answer = ask(&world.a.admin_secret).await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    // A key that is for something else was not used.
    ask(&world.a.key_secret).await.unwrap();
    assert_eq!(*world.used.lock().unwrap(), std::slice::from_ref(&world.a.admin));
    // One that was made since the last look at the database is looked for.
    let new = admin_key(&world, "viewer", Scopes::default()).await;
    assert_eq!(ask(&new).await.unwrap().status(), StatusCode::OK);
    assert_eq!(ask("ab-admin-none").await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    let world = World::new().await;
    for (path, param) in [
        ("/v1/organization/projects?limit=101", "limit"),
        ("/v1/organization/projects?limit=x", "limit"),
        ("/v1/organization/projects?include_archived=maybe", "include_archived"),
        ("/v1/organization/audit_logs?after=a&before=b", "before"),
        ("/v1/organization/audit_logs?effective_at[gt]=yesterday", "effective_at[gt]"),
        ("/v1/organization/usage/completions", "start_time"),
        ("/v1/organization/usage/completions?start_time=5&end_time=5", "start_time"),
        ("/v1/organization/usage/completions?start_time=5&bucket_width=1w", "bucket_width"),
        ("/v1/organization/usage/completions?start_time=5&group_by=colour", "group_by"),
        ("/v1/organization/usage/embeddings?start_time=5&page=2", "page"),
        ("/v1/organization/costs?start_time=5&limit=181", "limit"),
        ("/api/v1/organization/audit/export?format=xml", "format"),
    ] {
        let (status, _, named) = world.get(path).await.error();
        assert_eq!((status, named.as_deref()), (400, Some(param)), "{path}");
    }
    let answer = world.post(PROJECTS, json!({"title": "x"})).await;
    assert_eq!(answer.error().2.as_deref(), Some("name"));
    let answer = world.post(PROJECTS, json!({"name": ""})).await;
    assert_eq!(answer.error().0, 400);
    let answer = world.get("/v1/organization/projects/%ff").await;
    assert_eq!(answer.error().0, 400);
    // What nobody reads is passed over.
    world.get("/v1/organization/projects?colour=red").await.ok();
    let answer = world.ask(&world.a.admin_secret, "PUT", PROJECTS, Value::Null).await;
    assert_eq!(answer.error(), error(405, "method_not_allowed"));
}
