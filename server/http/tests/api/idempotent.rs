//! Requests that are sent again with their `Idempotency-Key`.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use engine_mock::MockModel;
use serde_json::{Value, json};
use server_http::HttpLimits;
use tower::ServiceExt;

use crate::bedrock::converse;
use crate::common::{call, endless, server, server_with, until_idle, until_running};
use crate::kept::says;
use scheduler_batching::PlannerConfig;

const CHAT: &str = "/v1/chat/completions";
const PLAIN: &str = "/v1/completions";

fn keyed(path: &str, key: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.header("idempotency-key", key).body(Body::from(body.to_string())).unwrap()
}

fn chat(content: &str, more: Value) -> Value {
    let mut body = json!({"model": "mock", "max_tokens": 8, "ignore_eos": true,
        "messages": [{"role": "user", "content": content}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn send(router: &Router, request: Request<Body>) -> (StatusCode, bool, Value) {
    let (status, headers, text) = call(router, request).await;
    (status, is_replay(&headers), serde_json::from_str(&text).unwrap())
}

fn is_replay(headers: &HeaderMap) -> bool {
    headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

#[tokio::test]
async fn the_first_answer_comes_again_and_nothing_is_generated_for_it() {
    let server = server(MockModel::default());
    let plain = json!({"model": "mock", "prompt": "a", "max_tokens": 8, "ignore_eos": true});
    let message = json!({"model": "mock", "max_tokens": 8,
        "messages": [{"role": "user", "content": "a"}]});
    for (path, body) in [(CHAT, chat("a", json!({}))), (PLAIN, plain), ("/v1/messages", message)] {
        let key = format!("key of {path}");
        let first = send(&server.router, keyed(path, &key, &body)).await;
        assert_eq!((first.0, first.1), (StatusCode::OK, false), "{}", first.2);
        let generated = server.handle.stats().generated_tokens;
        let again = send(&server.router, keyed(path, &key, &body)).await;
        // Byte for byte, ids too.
        assert_eq!(again, (StatusCode::OK, true, first.2.clone()));
        assert_eq!(server.handle.stats().generated_tokens, generated);
        let other = send(&server.router, keyed(path, "another", &body)).await;
        assert!(!other.1 && other.2["id"] != first.2["id"]);
    }
}

#[tokio::test]
async fn a_key_is_for_one_body_and_one_route() {
    let server = server(MockModel::default());
    let (status, ..) = send(&server.router, keyed(CHAT, "k", &chat("a", json!({})))).await;
    assert_eq!(status, StatusCode::OK);
    let plain = json!({"model": "mock", "prompt": "a"});
    for (path, body) in [(CHAT, chat("b", json!({}))), (PLAIN, plain)] {
        let (status, _, answer) = send(&server.router, keyed(path, "k", &body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer["error"]["code"], "idempotency_key_reused");
    }
    for key in ["", &"k".repeat(256)] {
        let (status, _, answer) =
            send(&server.router, keyed(CHAT, key, &chat("a", json!({})))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(answer["error"]["param"], "Idempotency-Key");
    }
}

#[tokio::test]
async fn who_asks_meanwhile_waits_for_the_one_that_runs() {
    let server = server(endless());
    let body = chat("a", json!({"max_tokens": 50}));
    let ask = || {
        let (router, request) = (server.router.clone(), keyed(CHAT, "k", &body));
        tokio::spawn(async move { send(&router, request).await })
    };
    let asked: Vec<_> = (0..5).map(|_| ask()).collect();
    let mut answers = Vec::new();
    for asked in asked {
        answers.push(asked.await.unwrap());
    }
    assert!(answers.iter().all(|answer| answer.0 == StatusCode::OK && answer.2 == answers[0].2));
    assert_eq!(answers.iter().filter(|answer| !answer.1).count(), 1, "one ran");
    assert_eq!(server.handle.stats().generated_tokens, 50);
}

#[tokio::test]
async fn who_waits_runs_it_anew_where_the_first_goes_away() {
    let server = server(endless());
    let body = chat("a", json!({"max_tokens": 60}));
    let spawn = || {
        let (router, request) = (server.router.clone(), keyed(CHAT, "k", &body));
        tokio::spawn(async move { send(&router, request).await })
    };
    let first = spawn();
    until_running(&server.handle, 1).await;
    let second = spawn();
    first.abort();
    let (status, is_replay, _) = second.await.unwrap();
    assert_eq!((status, is_replay), (StatusCode::OK, false));
    until_idle(&server.handle).await;
}

#[tokio::test]
async fn streams_and_errors_are_not_kept() {
    let server = server(MockModel::default());
    let body = chat("a", json!({"stream": true}));
    for num_streams in 1..=2 {
        let (status, headers, text) = call(&server.router, keyed(CHAT, "s", &body)).await;
        assert!(status == StatusCode::OK && !is_replay(&headers) && text.ends_with("[DONE]\n\n"));
        assert_eq!(server.handle.stats().generated_tokens, num_streams * 8);
    }
    let wrong = chat("a", json!({"n": 0}));
    for _ in 0..2 {
        let (status, is_replay, _) = send(&server.router, keyed(CHAT, "e", &wrong)).await;
        assert_eq!((status, is_replay), (StatusCode::BAD_REQUEST, false));
    }
    // The key is free: what was wrong is put right.
    let (status, ..) = send(&server.router, keyed(CHAT, "e", &chat("a", json!({})))).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn bedrocks_answers_come_again_too() {
    let server = server(MockModel::default());
    let converse = converse(json!({"inferenceConfig": {"maxTokens": 8}}));
    let invoke = json!({"prompt": "hello", "max_tokens": 8});
    for (operation, body) in [("converse", &converse), ("invoke", &invoke)] {
        let path = format!("/model/mock/{operation}");
        let first = send(&server.router, keyed(&path, operation, body)).await;
        assert_eq!((first.0, first.1), (StatusCode::OK, false), "{}", first.2);
        let generated = server.handle.stats().generated_tokens;
        let again = send(&server.router, keyed(&path, operation, body)).await;
        assert_eq!(again, (StatusCode::OK, true, first.2));
        assert_eq!(server.handle.stats().generated_tokens, generated);
        // A stream of the same key is another request: told in AWS's words.
        for (path, body) in [(format!("{path}-stream"), body), (path, &json!({"prompt": "b"}))] {
            let path = path.replace("invoke-stream", "invoke-with-response-stream");
            let (status, headers, text) = call(&server.router, keyed(&path, operation, body)).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
            assert_eq!(headers["x-amzn-errortype"], "ConflictException");
            assert!(text.contains("Idempotency-Key"), "{text}");
        }
    }
    for _ in 0..2 {
        let request = keyed("/model/mock/converse-stream", "stream", &converse);
        let response = server.router.clone().oneshot(request).await.unwrap();
        assert_eq!((response.status(), is_replay(response.headers())), (StatusCode::OK, false));
    }
}

/// Who asks for more than before is not told that it was given.
#[tokio::test]
async fn what_bedrocks_headers_ask_for_is_part_of_the_request() {
    let server = server(MockModel::default());
    let invoke = json!({"prompt": "hello", "max_tokens": 8});
    let ask = |more: &[(&'static str, &'static str)]| {
        let mut request = keyed("/model/mock/invoke", "k", &invoke);
        for (name, value) in more {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        call(&server.router, request)
    };
    let traced = ("x-amzn-bedrock-trace", "ENABLED");
    let guarded = ("x-amzn-bedrock-guardrailidentifier", "g");
    let (status, ..) = ask(&[traced, ("user-agent", "a")]).await;
    assert_eq!(status, StatusCode::OK);
    let (status, headers, _) = ask(&[("user-agent", "b"), traced]).await;
    assert!(status == StatusCode::OK && is_replay(&headers));
    for more in [&[guarded, traced][..], &[("x-amzn-bedrock-trace", "DISABLED")], &[]] {
        let (status, headers, text) = ask(more).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{more:?}: {text}");
        assert_eq!(headers["x-amzn-errortype"], "ConflictException", "{more:?}");
    }
}

#[tokio::test]
async fn responses_and_conversations_are_made_once() {
    let server = says("Hello").await;
    let conversations = "/v1/conversations";
    let response = json!({"model": "mock", "input": "a"});
    let item = json!({"role": "user", "content": "x"});
    let conversation = server.post(conversations, json!({})).await;
    let items = format!("{conversations}/{}/items", conversation["id"].as_str().unwrap());
    for (path, body) in [
        ("/v1/responses", response),
        (conversations, json!({"items": [item]})),
        (&items, json!({"items": [item]})),
    ] {
        let ask = |tenant: &str| {
            let mut request = keyed(path, path, &body);
            let bearer = format!("Bearer {tenant}").parse().unwrap();
            request.headers_mut().insert("authorization", bearer);
            send(&server.router, request)
        };
        let first = ask("a").await;
        assert_eq!((first.0, first.1), (StatusCode::OK, false), "{}", first.2);
        assert_eq!(ask("a").await, (StatusCode::OK, true, first.2.clone()));
        // Another tenant's key is another key.
        let other = ask("b").await;
        assert!(!other.1 && other.2 != first.2, "{}", other.2);
    }
    let kept = server.get(&items).await;
    assert_eq!(kept["data"].as_array().map(Vec::len), Some(1), "{kept}");
}

#[tokio::test]
async fn bodies_keep_their_limits() {
    let limits = HttpLimits { max_body_bytes: 1000, ..HttpLimits::default() };
    let server = server_with(MockModel::default(), PlannerConfig::default(), limits);
    let request = keyed(CHAT, "k", &chat(&"x".repeat(2000), json!({})));
    let response = server.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}
