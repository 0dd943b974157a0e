//! Pages of other origins, in browsers.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use server_http::{AppState, AuthError, Authenticate, Caller, CorsOrigins, router};

use crate::common::call;

/// Nobody is let in.
struct Closed;

impl Authenticate for Closed {
    fn check(&self, _bearer: Option<&str>) -> Result<Caller, AuthError> {
        Err(AuthError::Missing)
    }
}

fn allowing(origins: &[&str], keys: bool) -> Router {
    let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
    let state = AppState::builder().cors(CorsOrigins::new(&origins).unwrap());
    let state = if keys { state.auth(Arc::new(Closed)) } else { state };
    router(state.build())
}

async fn ask(router: &Router, method: Method, origin: &str) -> (StatusCode, HeaderMap) {
    let request = Request::builder().method(method).uri("/v1/chat/completions");
    let request = request.header("host", "localhost").header("origin", origin);
    let request = request
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    let (status, headers, _) = call(router, request.body(Body::empty()).unwrap()).await;
    (status, headers)
}

fn allowed(headers: &HeaderMap) -> Option<&str> {
    headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_preflight_needs_no_key_and_the_request_after_it_does() {
    let router = allowing(&["https://app.example", "https://b.example"], true);
    let (status, headers) = ask(&router, Method::OPTIONS, "https://app.example").await;
    assert_eq!((status, allowed(&headers)), (StatusCode::OK, Some("https://app.example")));
    assert_eq!(headers["access-control-allow-methods"], "POST");
    assert_eq!(headers["access-control-allow-headers"], "authorization,content-type");
    assert!(!headers.contains_key("access-control-allow-credentials"));
    // A page reads the refusal, too.
    let (status, headers) = ask(&router, Method::POST, "https://b.example").await;
    assert_eq!((status, allowed(&headers)), (StatusCode::UNAUTHORIZED, Some("https://b.example")));
    let exposed = headers["access-control-expose-headers"].to_str().unwrap();
    for told in ["x-request-id", "request-id", "retry-after"] {
        assert!(exposed.split(',').any(|name| name == told), "{exposed}");
    }
    for method in [Method::OPTIONS, Method::POST] {
        let (_, headers) = ask(&router, method, "https://elsewhere.example").await;
        assert_eq!(allowed(&headers), None);
    }
}

#[tokio::test]
async fn all_origins_or_none() {
    let router = allowing(&["*"], true);
    let (_, headers) = ask(&router, Method::OPTIONS, "https://elsewhere.example").await;
    assert_eq!(allowed(&headers), Some("*"));
    let router = allowing(&[], true);
    let (status, headers) = ask(&router, Method::OPTIONS, "https://app.example").await;
    assert_eq!((status, allowed(&headers)), (StatusCode::UNAUTHORIZED, None));
}

#[tokio::test]
async fn a_server_without_keys_stays_with_its_own_machine() {
    let router = allowing(&["*"], false);
    for method in [Method::OPTIONS, Method::POST] {
        let (status, headers) = ask(&router, method, "https://elsewhere.example").await;
        assert_eq!((status, allowed(&headers)), (StatusCode::FORBIDDEN, None));
    }
    let (status, headers) = ask(&router, Method::OPTIONS, "http://localhost:3000").await;
    assert_eq!((status, allowed(&headers)), (StatusCode::OK, Some("*")));
}
