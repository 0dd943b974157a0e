//! What costs are counted beside: `/baseline`, a bare handler of axum's on the same connections,
//! which reads a request and sends the bytes that the router once answered a chat of one token.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, Request, Response};
use axum::routing::post;
use tower::ServiceExt;

const CHAT: &str =
    r#"{"model": "mock", "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}"#;

/// Adds it to the router, which lets `key` in.
pub(crate) async fn beside(router: Router, key: Option<&str>) -> Router {
    let (headers, answer) = answer(&router, key).await;
    let handler = move |body: Bytes| async move {
        drop(body);
        let mut response = Response::new(Body::from(answer));
        *response.headers_mut() = headers;
        response
    };
    Router::new().route("/baseline", post(handler)).merge(router)
}

async fn answer(router: &Router, key: Option<&str>) -> (HeaderMap, Bytes) {
    let mut request = Request::post("/v1/chat/completions")
        .header(CONTENT_TYPE, "application/json")
        .header(HOST, "127.0.0.1");
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, format!("Bearer {key}"));
    }
    let request = request.body(Body::from(CHAT)).expect("a request");
    let response = router.clone().oneshot(request).await.expect("always ready");
    assert!(response.status().is_success(), "{}", response.status());
    let (head, body) = response.into_parts();
    (head.headers, to_bytes(body, usize::MAX).await.expect("it comes whole"))
}
