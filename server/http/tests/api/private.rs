//! A project that stores nothing, whatever its requests ask: OpenAI's zero data retention.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::kept::{Kept, events_of, says};

const SAID: &str = "xyzzy";
const ANSWERED: &str = "plugh";

async fn send(server: &Kept, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    server.send("a:never", method, path, body).await
}

async fn refused(server: &Kept, method: &str, path: &str, body: Value) -> (u16, Value, String) {
    let (status, answer) = send(server, method, path, body).await;
    assert!(!status.is_success(), "{answer}");
    let error = &answer["error"];
    (status.as_u16(), error["code"].clone(), error["message"].to_string())
}

/// What is in the database's files.
fn on_disk(server: &Kept) -> String {
    let files = std::fs::read_dir(server.folder.path()).unwrap();
    let bytes = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>().concat()).into_owned()
}

fn response(more: Value) -> Value {
    let mut body = json!({"model": "mock", "input": SAID});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn nothing_of_what_is_said_reaches_the_disk() {
    let server = says(ANSWERED).await;
    let mut ids = Vec::new();
    for store in [json!({}), json!({"store": true}), json!({"store": false})] {
        let (status, made) = send(&server, "POST", "/v1/responses", response(store)).await;
        assert_eq!((status, &made["store"]), (StatusCode::OK, &json!(false)), "{made}");
        assert!(made.to_string().contains(ANSWERED));
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let body = response(json!({"stream": true, "store": true}));
    let events = events_of(server.opened("a:never", "POST", "/v1/responses", body).await).await;
    assert_eq!(events.last().unwrap()["response"]["store"], false);
    let chat = json!({"model": "mock", "store": true, "metadata": {"k": SAID},
        "messages": [{"role": "user", "content": SAID}]});
    let (status, made) = send(&server, "POST", "/v1/chat/completions", chat).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    assert!(server.get("/v1/chat/completions").await["data"].as_array().unwrap().is_empty());
    for id in ids {
        let path = format!("/v1/responses/{id}");
        assert_eq!(refused(&server, "GET", &path, Value::Null).await.0, 404);
        let next = response(json!({"previous_response_id": id}));
        let (status, code, message) = refused(&server, "POST", "/v1/responses", next).await;
        assert_eq!((status, code), (400, json!("previous_response_not_found")));
        assert!(message.contains("store_prompts") && message.contains("'input'"), "{message}");
    }
    let stored = on_disk(&server);
    assert!(!stored.contains(SAID) && !stored.contains(ANSWERED));
    // The same of a project that stores is there, so it would have been found.
    server.post("/v1/responses", response(json!({}))).await;
    let stored = on_disk(&server);
    assert!(stored.contains(SAID) && stored.contains(ANSWERED));
}

#[tokio::test]
async fn what_is_nothing_without_being_stored_is_refused_and_changes_nothing() {
    let server = says(ANSWERED).await;
    let made = server.post("/v1/conversations", json!({})).await;
    let path = format!("/v1/conversations/{}", made["id"].as_str().unwrap());
    let item = json!([{"role": "user", "content": SAID}]);
    for (path, body, status) in [
        ("/v1/conversations", json!({"items": item}), 403),
        (&format!("{path}/items"), json!({"items": item}), 403),
        ("/v1/responses", response(json!({"conversation": made["id"]})), 400),
        ("/v1/responses", response(json!({"background": true})), 400),
    ] {
        let found = refused(&server, "POST", path, body).await;
        assert_eq!((found.0, found.1), (status, json!("storage_disabled")), "{path}");
        assert!(found.2.contains("store_prompts"), "{}", found.2);
    }
    assert!(!on_disk(&server).contains(SAID));
    // What was stored before can be read, followed and deleted.
    let (status, _) = send(&server, "GET", &path, Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let before = server.post("/v1/responses", response(json!({}))).await;
    let next = response(json!({"previous_response_id": before["id"]}));
    let (status, next) = send(&server, "POST", "/v1/responses", next).await;
    assert_eq!((status, &next["store"]), (StatusCode::OK, &json!(false)));
    let (status, _) = send(&server, "DELETE", &path, Value::Null).await;
    assert_eq!(status, StatusCode::OK);
}
