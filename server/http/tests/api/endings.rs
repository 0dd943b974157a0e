//! Requests that end before their answer does: by their own time, the operator's, or their id.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use scheduler_batching::PlannerConfig;
use serde_json::{Value, json};
use server_http::HttpLimits;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::common::{
    Server, call, endless, post_request, says, server, server_with, until_idle, until_running,
    until_waiting,
};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const PATHS: [&str; 4] = [CHAT, "/v1/completions", "/v1/messages", RESPONSES];

/// A request for a long answer.
fn long(path: &str, more: Value) -> Value {
    let mut body = match path {
        "/v1/completions" => json!({"prompt": "a", "ignore_eos": true}),
        RESPONSES => json!({"input": "Hi", "max_output_tokens": 400}),
        _ => json!({"messages": [{"role": "user", "content": "Hi"}], "ignore_eos": true}),
    };
    let fields = body.as_object_mut().unwrap();
    fields.extend([("model".to_owned(), json!("mock")), ("max_tokens".to_owned(), json!(400))]);
    fields.extend(more.as_object().unwrap().clone());
    body
}

/// The error's message, and its code where the API has one.
fn error<'a>(path: &str, body: &'a Value) -> (&'a str, Option<&'a str>) {
    if path == "/v1/messages" {
        assert_eq!(body["type"], "error", "{body}");
    }
    let error = &body["error"];
    (error["message"].as_str().unwrap(), error["code"].as_str())
}

/// The error that ends a stream.
fn last_error(path: &str, text: &str) -> Value {
    let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    if path == RESPONSES {
        let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
        assert_eq!(last["type"], "response.failed", "{text}");
        assert_eq!(last["response"]["error"]["code"], "server_error", "{text}");
        return json!({"error": {"message": last["response"]["error"]["message"]}});
    }
    let (end, at) = match path {
        "/v1/messages" => (false, events.len() - 1),
        _ => (events.last() == Some(&"[DONE]"), events.len() - 2),
    };
    assert_eq!(end, path != "/v1/messages", "{text}");
    serde_json::from_str(events[at]).unwrap()
}

#[tokio::test]
async fn a_requests_own_time_ends_it_in_its_apis_shape() {
    let server = server(endless());
    for path in PATHS {
        let body = long(path, json!({"timeout": 0.2})).to_string();
        let (status, headers, text) = call(&server.router, post_request(path, body)).await;
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT, "{text}");
        assert_eq!(headers["x-should-retry"], "false");
        let answer = serde_json::from_str(&text).unwrap();
        let (message, code) = error(path, &answer);
        assert_eq!(message, "The request was not done within its own time of 0.2 s.");
        assert_eq!(answer["error"]["type"], "timeout_error");
        assert!(path == "/v1/messages" || code == Some("deadline_exceeded"), "{text}");
        until_idle(&server.handle).await;

        let body = long(path, json!({"stream": true})).to_string();
        let mut request = post_request(path, body);
        request.headers_mut().insert("x-request-timeout", "0.2".parse().unwrap());
        let (status, _, text) = call(&server.router, request).await;
        assert_eq!(status, StatusCode::OK);
        let answer = last_error(path, &text);
        assert!(error(path, &answer).0.contains("its own time of 0.2 s"), "{text}");
        until_idle(&server.handle).await;
    }
    let all = PATHS.len() as u64 * 2 * 400;
    assert!(server.handle.stats().generated_tokens < all, "it was cut");
}

#[tokio::test]
async fn the_operators_time_holds_whatever_the_client_allows() {
    let limits =
        HttpLimits { request_timeout: Some(Duration::from_millis(200)), ..HttpLimits::default() };
    let server = server_with(endless(), PlannerConfig::default(), limits);
    for more in [json!({}), json!({"timeout": 3600})] {
        let body = long(CHAT, more).to_string();
        let (status, _, text) = call(&server.router, post_request(CHAT, body)).await;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{text}");
        let answer = serde_json::from_str(&text).unwrap();
        let (message, code) = error(CHAT, &answer);
        assert!(message.contains("the time this server allows of 0.2 s"), "{message}");
        assert_eq!(code, Some("deadline_exceeded"));
    }
    until_idle(&server.handle).await;
}

#[tokio::test]
async fn times_that_are_none_are_refused_and_what_is_done_in_time_is_answered() {
    let server = says("ok");
    let cases = [
        (json!({"timeout": 0}), None, "timeout"),
        (json!({"timeout": -1}), None, "timeout"),
        (json!({"timeout": 1e9}), None, "timeout"),
        (json!({"timeout": "1"}), None, "timeout"),
        (json!({}), Some("soon"), "x-request-timeout"),
        (json!({}), Some("0"), "x-request-timeout"),
    ];
    for (more, header, param) in cases {
        let mut request = post_request(CHAT, long(CHAT, more.clone()).to_string());
        if let Some(value) = header {
            request.headers_mut().insert("x-request-timeout", value.parse().unwrap());
        }
        let (status, _, text) = call(&server.router, request).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{more} {header:?}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["error"]["param"], param);
    }
    // The SDKs tell how long they wait themselves; that is theirs to keep.
    let more = json!({"timeout": 60, "ignore_eos": false});
    let mut request = post_request(CHAT, long(CHAT, more).to_string());
    for name in ["x-stainless-timeout", "x-stainless-read-timeout"] {
        request.headers_mut().insert(name, "0".parse().unwrap());
    }
    assert_eq!(call(&server.router, request).await.0, StatusCode::OK);
}

/// Asks in the background; the answer's parts.
fn ask(server: &Server, mut request: Request<Body>, id: &str) -> JoinHandle<Answer> {
    request.headers_mut().insert("x-request-id", id.parse().unwrap());
    let router = server.router.clone();
    tokio::spawn(async move {
        let (head, body) = router.oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
    })
}

type Answer = (StatusCode, HeaderMap, String);

async fn cancel(router: &Router, method: Method, path: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let (status, _, text) = call(router, request).await;
    (status, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn a_request_is_cancelled_by_the_id_of_its_head() {
    let server = server(endless());
    for (idx, path) in PATHS.into_iter().enumerate() {
        for stream in [false, true] {
            let id = format!("mine-{idx}-{stream}");
            let body = long(path, json!({"stream": stream})).to_string();
            let asked = ask(&server, post_request(path, body), &id);
            until_running(&server.handle, 1).await;
            let other = format!("/v1/requests/{id}x/cancel");
            let (status, answer) = cancel(&server.router, Method::POST, &other).await;
            assert_eq!(status, StatusCode::NOT_FOUND);
            assert_eq!(answer["error"]["code"], "request_not_found");
            let (method, form) = match stream {
                false => (Method::POST, format!("/v1/requests/{id}/cancel")),
                true => (Method::DELETE, format!("/v1/requests/{id}")),
            };
            let answer = cancel(&server.router, method.clone(), &form).await;
            let expected = json!({"id": id, "object": "request", "cancelled": true});
            assert_eq!(answer, (StatusCode::OK, expected));
            let (status, headers, text) = asked.await.unwrap();
            let answer = match stream {
                false => {
                    assert_eq!(
                        (status.as_u16(), &headers["x-should-retry"]),
                        (499, &"false".parse().unwrap())
                    );
                    serde_json::from_str(&text).unwrap()
                }
                true => last_error(path, &text),
            };
            let (message, code) = error(path, &answer);
            assert_eq!(message, "The request was cancelled.");
            let has_code = path != "/v1/messages" && !(path == RESPONSES && stream);
            assert!(!has_code || code == Some("request_cancelled"), "{text}");
            until_idle(&server.handle).await;
            // It is gone.
            assert_eq!(cancel(&server.router, method, &form).await.0, StatusCode::NOT_FOUND);
        }
    }
}

#[tokio::test]
async fn a_stream_is_cancelled_by_the_id_in_its_pieces() {
    let server = server(endless());
    for path in PATHS {
        let body = long(path, json!({"stream": true})).to_string();
        let response = server.router.clone().oneshot(post_request(path, body)).await.unwrap();
        let mut body = response.into_body().into_data_stream();
        let mut text = String::new();
        let next = futures_util::StreamExt::next;
        while !text.contains("\n\n") {
            text += std::str::from_utf8(&next(&mut body).await.unwrap().unwrap()).unwrap();
        }
        let first = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        let first: Value = serde_json::from_str(first).unwrap();
        let ids = [&first["id"], &first["message"]["id"], &first["response"]["id"]];
        let id = ids.into_iter().find_map(Value::as_str).unwrap();
        let form = format!("/v1/requests/{id}/cancel");
        assert_eq!(cancel(&server.router, Method::POST, &form).await.0, StatusCode::OK);
        while let Some(piece) = next(&mut body).await {
            text += std::str::from_utf8(&piece.unwrap()).unwrap();
        }
        assert!(error(path, &last_error(path, &text)).0.contains("cancelled"), "{text}");
        until_idle(&server.handle).await;
    }
}

#[tokio::test]
async fn what_waits_is_cancelled_too_and_a_cancel_does_not_find_itself() {
    let config = PlannerConfig { max_running_seqs: 1, ..PlannerConfig::default() };
    let server = server_with(endless(), config, HttpLimits::default());
    let request = || post_request(CHAT, long(CHAT, json!({})).to_string());
    let running = ask(&server, request(), "one");
    until_running(&server.handle, 1).await;
    let waiting = ask(&server, request(), "two");
    until_waiting(&server.handle, 1).await;
    assert_eq!(cancel(&server.router, Method::DELETE, "/v1/requests/two").await.0, StatusCode::OK);
    assert_eq!(waiting.await.unwrap().0.as_u16(), 499);
    assert_eq!(server.handle.stats().running, 1);
    let itself = Request::post("/v1/requests/three/cancel").header("x-request-id", "three");
    let (status, ..) = call(&server.router, itself.body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    running.abort();
    until_idle(&server.handle).await;
}
