//! Responses in the background that are ended while somebody follows them.

use axum::http::StatusCode;
use serde_json::{Value, json};
use server_store::Limits;

use crate::common::{endless, until_idle, until_running};
use crate::kept::{Kept, events_of, kept};
use crate::responses::{PATH, ask};

/// The path of one that would go on for seconds.
async fn begun(server: &Kept) -> String {
    let queued = server.post(PATH, ask(json!({"background": true}))).await;
    format!("{PATH}/{}", queued["id"].as_str().unwrap())
}

async fn followed(server: &Kept, path: &str) -> Vec<Value> {
    server.events("GET", &format!("{path}?stream=true"), Value::Null).await
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_last_event_says_that_it_was_cancelled() {
    let server = kept(endless(), Limits::default()).await;
    let path = begun(&server).await;
    let cancel = async {
        until_running(&server.handle, 1).await;
        server.post(&format!("{path}/cancel"), Value::Null).await
    };
    let (events, cancelled) = tokio::join!(followed(&server, &path), cancel);
    assert_eq!(cancelled["status"], "cancelled");
    let kinds = kinds(&events);
    assert_eq!(kinds[..2], ["response.created", "response.queued"]);
    assert_eq!(kinds.last(), Some(&"response.cancelled"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "response.cancelled").count(), 1);
    // What it holds is what is retrieved.
    assert_eq!(events.last().unwrap()["response"], cancelled);
    assert_eq!(server.get(&path).await, cancelled);
    until_idle(&server.handle).await;
    // Who comes later sees the same, also after a second cancel.
    assert_eq!(server.post(&format!("{path}/cancel"), Value::Null).await, cancelled);
    assert_eq!(followed(&server, &path).await, events);
}

#[tokio::test]
async fn one_that_has_hardly_begun_ends_so_too() {
    let server = kept(endless(), Limits::default()).await;
    for _ in 0..3 {
        let path = begun(&server).await;
        let cancelled = server.post(&format!("{path}/cancel"), Value::Null).await;
        let events = followed(&server, &path).await;
        assert_eq!(kinds(&events).last(), Some(&"response.cancelled"));
        assert_eq!(events.last().unwrap()["response"], cancelled);
    }
    until_idle(&server.handle).await;
}

#[tokio::test]
async fn one_that_is_deleted_ends_for_who_follows_it() {
    let server = kept(endless(), Limits::default()).await;
    let path = begun(&server).await;
    until_running(&server.handle, 1).await;
    // Who comes after the deletion finds nothing to follow.
    let stream = server.opened("a", "GET", &format!("{path}?stream=true"), Value::Null).await;
    let delete = server.send("a", "DELETE", &path, Value::Null);
    let (events, (status, _)) = tokio::join!(events_of(stream), delete);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(kinds(&events).last(), Some(&"response.cancelled"));
    until_idle(&server.handle).await;
    assert_eq!(server.error("GET", &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn one_whose_request_is_cancelled_is_cancelled() {
    let server = kept(endless(), Limits::default()).await;
    for (method, tail) in [("POST", "/cancel"), ("DELETE", "")] {
        let path = begun(&server).await;
        let id = path.strip_prefix(PATH).unwrap();
        let cancel = async {
            until_running(&server.handle, 1).await;
            server.send("a", method, &format!("/v1/requests{id}{tail}"), Value::Null).await.0
        };
        let (events, status) = tokio::join!(followed(&server, &path), cancel);
        assert_eq!(status, StatusCode::OK);
        assert_eq!(kinds(&events).last(), Some(&"response.cancelled"));
        let response = server.get(&path).await;
        assert_eq!(response["status"], "cancelled");
        assert_eq!(events.last().unwrap()["response"], response);
        until_idle(&server.handle).await;
    }
}

#[tokio::test]
async fn a_stream_that_fails_is_kept_with_what_was_made() {
    let server = kept(endless(), Limits::default()).await;
    let body = ask(json!({"stream": true, "timeout": 0.5}));
    let events = server.events("POST", PATH, body).await;
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    let response = &last["response"];
    assert_eq!(response["output"][0]["status"], "incomplete");
    let path = format!("{PATH}/{}", response["id"].as_str().unwrap());
    assert_eq!(server.get(&path).await, *response);
}

#[tokio::test]
async fn one_in_one_piece_that_fails_is_kept_too_and_its_error_names_it() {
    let server = kept(endless(), Limits::default()).await;
    let (status, answer) = server.send("a", "POST", PATH, ask(json!({"timeout": 0.5}))).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT, "{answer}");
    assert_eq!(answer["error"]["code"], "deadline_exceeded");
    let message = answer["error"]["message"].as_str().unwrap();
    let id = message.split([' ', '.']).find(|word| word.starts_with("resp_")).unwrap();
    let response = server.get(&format!("{PATH}/{id}")).await;
    assert_eq!((&response["status"], &response["id"]), (&json!("failed"), &json!(id)));
    let item = &response["output"][0];
    assert_eq!(item["status"], "incomplete", "{response}");
    assert!(!item["content"][0]["text"].as_str().unwrap().is_empty(), "{response}");
    // Nobody is told of one that is not to be kept.
    let asked = ask(json!({"timeout": 0.5, "store": false}));
    let (status, answer) = server.send("a", "POST", PATH, asked).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
    assert!(!answer.to_string().contains("resp_"), "{answer}");
}
