//! Nobody sees or changes anything of another organization, by whichever route.

use axum::http::StatusCode;
use serde_json::{Value, json};
use server_accounts::may;
use server_store::{
    AuditFilter, Completion, Item, PageQuery, PriceFilter, Response, Store, UsageFilter, UsageQuery,
};

use crate::sample::{Operation, operations};
use crate::usage::bill;
use crate::world::{Organization, World, operator, whose};

const ADMIN: &[&str] = &["/v1/organization", "/api/v1/organization"];
/// What clients ask to be kept, and requests that run.
const KEPT: &[&str] = &["/v1/responses/{", "/v1/conversations/{", "/v1/chat/completions/{"];

/// All that an organization has, as the store tells it.
async fn dump(store: &Store, of: &Organization) -> String {
    let id = of.id.as_str();
    let page = PageQuery { after: None, limit: 1000, descending: false };
    let usage = UsageQuery { since: 0, until: 4_000_000_000_000, filter: UsageFilter::default() };
    let members = operator::<may::ReadMembers>(id);
    let keys = operator::<may::ReadKeys>(id);
    [
        format!("{:?}", store.organization(&operator(id)).await.unwrap()),
        format!("{:?}", store.projects(&operator(id), true, &page).await.unwrap()),
        format!("{:?}", store.keys(&keys, None, true, &page).await.unwrap()),
        format!("{:?}", store.admin_keys(&operator(id), &page).await.unwrap()),
        format!("{:?}", store.members(&members, &page).await.unwrap()),
        format!("{:?}", store.project_members(&members, &of.project, &page).await.unwrap()),
        format!("{:?}", store.service_accounts(&keys, &of.project, &page).await.unwrap()),
        format!("{:?}", store.invitations(&members, &page).await.unwrap()),
        format!("{:?}", store.roles(&members).await.unwrap()),
        format!("{:?}", store.ledger_lines(&operator(id), &usage, &page).await.unwrap()),
        format!("{:?}", store.prices(&operator(id), &PriceFilter::default(), &page).await.unwrap()),
        format!("{:?}", store.provisions(&operator(id), &page).await.unwrap()),
        format!("{:?}", store.commitments(&operator(id), &page).await.unwrap()),
        format!("{:?}", store.webhooks(&operator(id), &page).await.unwrap()),
        format!("{:?}", store.alerts(&operator(id), &page).await.unwrap()),
        format!("{:?}", store.response(&whose(of), "resp_alpha").await.unwrap()),
        format!("{:?}", store.conversation(&whose(of), "conv_alpha").await.unwrap()),
        format!("{:?}", store.completion(&whose(of), "chatcmpl-alpha").await.unwrap()),
        // Last: whatever was changed is in the log.
        format!("{:?}", store.audit_log(&operator(id), &AuditFilter::default(), &page).await),
    ]
    .join("\n")
}

/// Things that the first organization's clients asked to be kept.
async fn keep(store: &Store, of: &Organization) {
    let whose = whose(of);
    let response = Response {
        id: "resp_alpha".to_owned(),
        created_at: 1,
        status: "completed".to_owned(),
        previous_id: None,
        conversation_id: None,
        body: json!({"id": "resp_alpha", "status": "completed", "text": "alpha"}).to_string(),
        input: "[]".to_owned(),
        output_ids: Vec::new(),
    };
    store.add_response(&whose, &response, &[]).await.unwrap();
    let item = Item { id: "msg_alpha".to_owned(), json: "{\"id\":\"msg_alpha\"}".to_owned() };
    let conversation = server_store::Conversation {
        id: "conv_alpha".to_owned(),
        created_at: 1,
        metadata: "{}".to_owned(),
    };
    store.add_conversation(&whose, &conversation, &[item]).await.unwrap();
    let completion = Completion {
        id: "chatcmpl-alpha".to_owned(),
        created_at: 1,
        model: "mock".to_owned(),
        body: json!({"id": "chatcmpl-alpha", "metadata": {}, "text": "alpha"}).to_string(),
        messages: "[]".to_owned(),
    };
    store.add_completion(&whose, &completion, &[]).await.unwrap();
}

async fn described(world: &World) -> Value {
    world.get("/openapi.json").await.ok()
}

async fn send(world: &World, secret: &str, operation: &Operation) -> (StatusCode, String) {
    let Operation { method, uri, body, .. } = operation;
    let answer = world.ask(secret, method, uri, body.clone()).await;
    (answer.status, answer.text)
}

#[tokio::test]
async fn no_route_shows_or_changes_anything_of_another_organization() {
    let world = World::new().await;
    keep(&world.store, &world.a).await;
    bill(&world.store, &world.a, 3).await;
    let document = described(&world).await;
    let all = operations(&document, &world.a, ADMIN);
    assert!(all.len() > 50, "only {} routes", all.len());
    let before = dump(&world.store, &world.a).await;
    for operation in &all {
        let (status, text) = send(&world, &world.b.admin_secret, operation).await;
        let Operation { method, path, has_id, .. } = operation;
        if *has_id {
            let refused = [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN];
            assert!(refused.contains(&status), "{method} {path}: {status} {text}");
        } else {
            assert_eq!(status, StatusCode::OK, "{method} {path}: {text}");
            assert!(!text.contains("alpha"), "{method} {path}: {text}");
        }
        // The ids that were asked for may come back, names may not.
        assert!(!text.contains("alpha "), "{method} {path}: {text}");
    }
    assert_eq!(dump(&world.store, &world.a).await, before);
}

/// With the ids of its own organization a key reads all of it: the ids above are real.
#[tokio::test]
async fn the_same_routes_answer_whose_organization_it_is() {
    let world = World::new().await;
    bill(&world.store, &world.a, 3).await;
    let document = described(&world).await;
    let all = operations(&document, &world.a, ADMIN);
    for operation in all.iter().filter(|operation| operation.method == "GET") {
        let (status, text) = send(&world, &world.a.admin_secret, operation).await;
        assert_eq!(status, StatusCode::OK, "{}: {text}", operation.uri);
    }
    // Changes first, and what ends something last.
    let is_end = |operation: &&Operation| {
        operation.method == "DELETE" || operation.path.ends_with("/archive")
    };
    for operation in all.iter().filter(|operation| !is_end(operation)) {
        let (status, text) = send(&world, &world.a.admin_secret, operation).await;
        let is_known = status == StatusCode::OK
            // One who is in the project already, and limits that are not kept here.
            || text.contains("already") || text.contains("is not limited here");
        assert!(is_known, "{} {}: {status} {text}", operation.method, operation.uri);
    }
}

#[tokio::test]
async fn ids_of_another_organization_in_a_body_lead_nowhere() {
    let world = World::new().await;
    let before = {
        keep(&world.store, &world.a).await;
        dump(&world.store, &world.a).await
    };
    let (a, b) = (&world.a, &world.b);
    let users = format!("/v1/organization/projects/{}/users", b.project);
    let keys = format!("/api/v1/organization/projects/{}/keys", b.project);
    let alerts = "/api/v1/organization/alerts";
    let foreign = [
        (users, json!({"user_id": a.developer, "role": "member"})),
        (keys, json!({"name": "k", "service_account_id": a.service_account})),
        (
            "/v1/organization/invites".to_owned(),
            json!({"email": "x@example.com", "role": "reader",
                "projects": [{"id": a.project, "role": "member"}]}),
        ),
        ("/v1/organization/invites".to_owned(), json!({"email": "x@example.com", "role": a.role})),
        ("/v1/organization/admin_api_keys".to_owned(), json!({"name": "k", "role": a.role})),
        (alerts.to_owned(), json!({"project_id": a.project})),
        (alerts.to_owned(), json!({"key_id": a.key})),
    ];
    for (path, body) in foreign {
        let answer = world.ask(&b.admin_secret, "POST", &path, body).await;
        assert_eq!(answer.error().0, 404, "{path}: {}", answer.text);
    }
    assert_eq!(dump(&world.store, &world.a).await, before);
}

#[tokio::test]
async fn what_clients_asked_to_be_kept_is_their_projects() {
    let world = World::new().await;
    keep(&world.store, &world.a).await;
    let document = described(&world).await;
    let other = json!({"name": "another"});
    let other = world.post("/v1/organization/projects", other).await.ok();
    let keys = format!("/api/v1/organization/projects/{}/keys", other["id"].as_str().unwrap());
    let key = world.post(&keys, json!({"name": "k"})).await.ok();
    let others = [world.b.key_secret.as_str(), key["value"].as_str().unwrap()];
    let before = dump(&world.store, &world.a).await;
    let mut num = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(prefix) = KEPT.iter().find(|prefix| path.starts_with(*prefix)) else { continue };
        let id = match *prefix {
            "/v1/responses/{" => "resp_alpha",
            "/v1/conversations/{" => "conv_alpha",
            _ => "chatcmpl-alpha",
        };
        let uri = path.replace("{id}", id).replace("{item_id}", "msg_alpha");
        for method in methods.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            let body = match method.as_str() {
                "POST" if path.ends_with("/items") => {
                    json!({"items": [{"type": "message", "role": "user", "content": "hi"}]})
                }
                "POST" if !path.ends_with("/cancel") => json!({"metadata": {"a": "b"}}),
                _ => Value::Null,
            };
            for other in others {
                let answer = world.ask(other, &method, &uri, body.clone()).await;
                assert_eq!(answer.error().0, 404, "{method} {uri}: {}", answer.text);
            }
            num += 1;
        }
    }
    assert!(num >= 15, "{num}");
    assert_eq!(dump(&world.store, &world.a).await, before);
    let kept = world.ask(&world.a.key_secret, "GET", "/v1/responses/resp_alpha", Value::Null).await;
    assert_eq!(kept.ok()["text"], "alpha");
}
