//! What Anthropic's clients read beside messages: the request's id, models, and what is not there.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use engine_mock::MockModel;
use serde_json::{Value, json};

use crate::common::{EOS, Server, call, says};

/// Asks as Anthropic's clients do.
async fn ask(
    server: &Server,
    method: &str,
    path: &str,
    body: &str,
) -> (StatusCode, HeaderMap, Value) {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("anthropic-version", "2023-06-01").header("x-request-id", "my-1");
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let (status, headers, text) = call(&server.router, request).await;
    (status, headers, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn a_budget_of_thoughts_has_anthropics_bounds() {
    let server = crate::common::roomy(MockModel::scripted("ok", EOS));
    for (path, max_tokens, thinking, status) in [
        ("", 1100, json!({"type": "enabled"}), 200),
        ("", 1100, json!({"type": "enabled", "budget_tokens": 1024}), 200),
        ("", 1100, json!({"type": "enabled", "budget_tokens": 1023}), 400),
        ("", 1100, json!({"type": "enabled", "budget_tokens": 1100}), 400),
        ("", 1100, json!({"type": "disabled", "budget_tokens": 1}), 200),
        ("/count_tokens", 1100, json!({"type": "enabled", "budget_tokens": 0}), 400),
        ("/count_tokens", 1024, json!({"type": "enabled", "budget_tokens": 1024}), 400),
        ("/count_tokens", 1025, json!({"type": "enabled", "budget_tokens": 1024}), 200),
    ] {
        let mut body: Value = serde_json::from_str(&hello()).unwrap();
        (body["max_tokens"], body["thinking"]) = (max_tokens.into(), thinking);
        let path = format!("/v1/messages{path}");
        let (was, _, answer) = ask(&server, "POST", &path, &body.to_string()).await;
        assert_eq!(was.as_u16(), status, "{body}: {answer}");
        if status == 400 {
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.starts_with("'thinking.budget_tokens' must be"), "{message}");
        }
    }
}

fn hello() -> String {
    let messages = json!([{"role": "user", "content": "hello"}]);
    json!({"model": "mock", "max_tokens": 3, "messages": messages}).to_string()
}

#[tokio::test]
async fn every_answer_tells_the_requests_id() {
    let server = says("ok");
    let hello = hello();
    for (method, path, body) in [
        ("POST", "/v1/messages", hello.as_str()),
        ("POST", "/v1/messages/count_tokens", &hello),
        ("GET", "/v1/models", ""),
        ("GET", "/v1/models/mock", ""),
    ] {
        let (status, headers, answer) = ask(&server, method, path, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(headers["request-id"], "my-1");
        assert_eq!(headers["x-request-id"], "my-1");
        assert_eq!(answer.get("request_id"), None);
    }
    // Also without the header, on Anthropic's own routes; nobody else is told.
    for (path, is_told) in [("/v1/messages", true), ("/v1/models", false)] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (_, headers, _) = call(&server.router, request).await;
        let id = headers.get("request-id");
        assert_eq!(id, is_told.then_some(&headers["x-request-id"]), "{path}");
    }
}

#[tokio::test]
async fn errors_have_one_shape_wherever_they_come_from() {
    let server = says("ok");
    for (method, path, status, kind) in [
        ("POST", "/v1/messages", 400, "invalid_request_error"),
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("POST", "/v1/messages/batches", 404, "not_found_error"),
        ("GET", "/v1/messages/xyz", 404, "not_found_error"),
        ("GET", "/v1/models/x", 404, "not_found_error"),
        ("GET", "/v1/files", 404, "not_found_error"),
    ] {
        let (was, headers, answer) = ask(&server, method, path, "{}").await;
        assert_eq!(was.as_u16(), status, "{path}: {answer}");
        assert_eq!((&answer["type"], &answer["error"]["type"]), (&json!("error"), &json!(kind)));
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
        assert_eq!(answer["request_id"], "my-1");
        assert_eq!(headers["request-id"], "my-1");
    }
    // Others keep their own.
    for path in ["/v1/models/x", "/v1/files"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (_, _, text) = call(&server.router, request).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer["error"]["code"].is_string() && answer.get("type").is_none(), "{text}");
    }
}

#[tokio::test]
async fn models_are_told_in_anthropics_shape() {
    let server = says("ok");
    let model = json!({"type": "model", "id": "mock", "display_name": "mock",
        "created_at": "2023-11-14T22:13:20Z"});
    let page = json!({"data": [model], "first_id": "mock", "last_id": "mock", "has_more": false});
    assert_eq!(ask(&server, "GET", "/v1/models", "").await.2, page);
    assert_eq!(ask(&server, "GET", "/v1/models/mock", "").await.2, model);
}
