//! Who may ask, what one learns of another, and what the log tells of anybody.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use engine_mock::{Fault, MockEngine, MockModel};
use scheduler_batching::PlannerConfig;
use serde_json::{Value, json};
use server_http::{AppState, AuthError, Authenticate, Caller, Metrics, router};
use tower::ServiceExt;

use crate::bad_input::{CHAT, PLAIN, hello};
use crate::common::{EOS, LIMITS, call, get, post_request, says, served};

/// Keys `a-secret` and `b-secret`, of two tenants.
struct TwoKeys;

impl Authenticate for TwoKeys {
    fn check(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        let tenant = bearer.ok_or(AuthError::Missing)?.strip_suffix("-secret");
        let tenant = tenant.filter(|tenant| ["a", "b"].contains(tenant));
        let tenant = tenant.ok_or(AuthError::Invalid)?;
        Ok(Caller::of_tenant(tenant, &format!("key-of-{tenant}"))?)
    }
}

fn with_keys(engine: MockEngine) -> Router {
    let metrics = Arc::new(Metrics::new());
    let model = served("mock", engine, PlannerConfig::default(), &metrics);
    router(AppState::builder().model(model).auth(Arc::new(TwoKeys)).metrics(metrics).build())
}

fn with_key(key: &str, path: &str, body: &str) -> Request<Body> {
    let request = Request::post(path).header("authorization", format!("Bearer {key}"));
    request.body(Body::from(body.to_owned())).unwrap()
}

fn asking(path: &str, key: Option<&str>) -> Request<Body> {
    let request = Request::get(path);
    let request = match key {
        Some(key) => request.header("authorization", format!("Bearer {key}")),
        None => request,
    };
    request.body(Body::empty()).unwrap()
}

async fn ask(router: &Router, key: &str, path: &str, body: &str) -> (StatusCode, Value) {
    let (status, _, text) = call(router, with_key(key, path, body)).await;
    (status, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn keys_are_asked_for_where_models_are_used() {
    let router = router(AppState::builder().auth(Arc::new(TwoKeys)).build());
    let cases = [
        (None, StatusCode::UNAUTHORIZED, Some("invalid_api_key")),
        (Some("wrong"), StatusCode::UNAUTHORIZED, Some("invalid_api_key")),
        (Some("a-secret"), StatusCode::OK, None),
    ];
    for (key, expected, code) in cases {
        let (status, headers, text) = call(&router, asking("/v1/models", key)).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, answer["error"]["code"].as_str()), (expected, code));
        assert_eq!(headers.contains_key("www-authenticate"), expected == StatusCode::UNAUTHORIZED);
        assert!(key.is_none_or(|key| !text.contains(key)), "the key must not come back: {text}");
    }
    for path in [CHAT, PLAIN, "/tokenize", "/detokenize"] {
        let (status, ..) = call(&router, post_request(path, "not read")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/health", "/ready", "/metrics", "/openapi.json", "/docs"] {
        assert_eq!(call(&router, asking(path, None)).await.0, StatusCode::OK, "{path}");
    }
}

/// Keys of a database that may be away.
struct OfDatabase(AtomicBool);

impl Authenticate for OfDatabase {
    fn check(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        if self.can_check() { TwoKeys.check(bearer) } else { Err(AuthError::Unavailable) }
    }

    fn can_check(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_server_whose_keys_cannot_be_checked_is_not_ready() {
    let auth = Arc::new(OfDatabase(AtomicBool::new(true)));
    let metrics = Arc::new(Metrics::new());
    let engine = MockEngine::new(LIMITS, MockModel::default());
    let model = served("mock", engine, PlannerConfig::default(), &metrics);
    let router = router(AppState::builder().model(model).auth(auth.clone()).build());
    for (is_there, expected) in [(true, 200), (false, 503), (true, 200)] {
        auth.0.store(is_there, Ordering::SeqCst);
        let (status, headers, text) = call(&router, asking("/ready", None)).await;
        assert_eq!(status.as_u16(), expected, "{text}");
        assert_eq!(text.contains("the database does not answer"), !is_there, "{text}");
        assert_eq!(headers.contains_key("retry-after"), !is_there);
        let models = call(&router, asking("/v1/models", Some("a-secret"))).await;
        assert_eq!(models.0.as_u16(), expected);
        // The process itself is fine: nothing should restart it.
        assert_eq!(call(&router, asking("/health", None)).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn tenants_do_not_share_what_is_cached() {
    let router = with_keys(MockEngine::new(LIMITS, MockModel::scripted("ok", EOS)));
    let body = json!({"model": "mock", "prompt": "The same words. ".repeat(4)}).to_string();
    let mut cached = Vec::new();
    for key in ["a-secret", "a-secret", "b-secret", "b-secret"] {
        let (status, answer) = ask(&router, key, "/v1/completions", &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let details = &answer["usage"]["prompt_tokens_details"];
        cached.push(details["cached_tokens"].as_u64().unwrap());
    }
    assert_eq!(cached, [0, 64, 0, 64]);
}

#[tokio::test]
async fn without_keys_only_this_machine_is_served() {
    let server = says("ok");
    let body = json!({"model": "mock", "prompt": "a"}).to_string();
    let ask = |path: &str, headers: &[(&str, &str)]| {
        let mut request = match path {
            "/v1/completions" => Request::post(path),
            _ => Request::get(path),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        call(&server.router, request.body(Body::from(body.clone())).unwrap())
    };
    let paths = ["/v1/completions", "/v1/models", "/health", "/docs", "/openapi.json"];
    let local: [&[(&str, &str)]; 6] = [
        &[],
        &[("host", "127.0.0.1:8080")],
        &[("host", "localhost:8080"), ("origin", "http://localhost:8080")],
        &[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")],
        &[("host", "app.localhost"), ("origin", "http://127.0.0.1:3000")],
        &[("host", "localhost"), ("referer", "http://elsewhere.example/")],
    ];
    for (headers, path) in local.iter().flat_map(|headers| paths.map(|path| (headers, path))) {
        assert_eq!(ask(path, headers).await.0, StatusCode::OK, "{path} {headers:?}");
    }
    let other: [&[(&str, &str)]; 5] = [
        &[("host", "rebound.example:8080")],
        &[("host", "192.168.0.7:8080")],
        &[("host", "localhost"), ("origin", "http://elsewhere.example")],
        &[("host", "localhost"), ("origin", "null")],
        &[("host", "localhost"), ("host", "rebound.example")],
    ];
    for (headers, path) in other.iter().flat_map(|headers| paths.map(|path| (headers, path))) {
        let (status, _, text) = ask(path, headers).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path} {headers:?}");
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert_eq!(error["error"]["code"], "not_local");
    }
    assert_eq!(server.handle.stats().generated_tokens, 3 * local.len() as u64);
}

#[tokio::test]
async fn with_keys_pages_and_names_from_elsewhere_are_as_good_as_any() {
    let router = with_keys(MockEngine::new(LIMITS, MockModel::default()));
    let request = Request::get("/v1/models").header("authorization", "Bearer a-secret");
    let request = request.header("host", "api.example").header("origin", "http://other.example");
    assert_eq!(call(&router, request.body(Body::empty()).unwrap()).await.0, StatusCode::OK);
}

/// Keeps all that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_tells_who_asked_and_not_what() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    // For all threads: drivers and text jobs log, too.
    let subscriber = subscriber.with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let engine = MockEngine::new(LIMITS, MockModel::scripted("an 0racle", EOS));
    let router = with_keys(engine.with_fault(2, Fault::Error("out of memory".into())));
    let messages = json!([{"role": "user", "content": "xyzzy"}]);
    let long = "xyzzy ".repeat(10_000);
    let bodies = [
        (CHAT, json!({"model": "mock", "messages": messages, "user": "xyzzy"}).to_string()),
        (CHAT, json!({"model": "mock", "messages": messages}).to_string()),
        (CHAT, json!({"model": "xyzzy", "messages": messages}).to_string()),
        (CHAT, json!({"model": "mock", "messages": messages, "n": "xyzzy"}).to_string()),
        (CHAT, json!({"model": "mock", "messages": "xyzzy"}).to_string()),
        (PLAIN, json!({"model": "mock", "prompt": long}).to_string()),
        (PLAIN, json!({"model": "mock", "prompt": "xyzzy", "stop": "xyzzy"}).to_string()),
        (PLAIN, "{\"prompt\": \"xyzzy".to_owned()),
        ("/tokenize", json!({"model": "xyzzy", "prompt": "xyzzy"}).to_string()),
        ("/v1/nothing?xyzzy", "xyzzy".to_owned()),
    ];
    for (path, body) in bodies {
        for key in ["a-secret", "wrong-secret"] {
            ask(&router, key, path, &body).await;
        }
    }
    get(&router, "/v1/models/xyzzy").await;
    let stream = hello(json!({"stream": true, "max_tokens": 3, "ignore_eos": true})).to_string();
    let request = || with_key("a-secret", CHAT, &stream);
    call(&router, request()).await;
    // A client that leaves before the first piece.
    drop(router.clone().oneshot(request()).await.unwrap());

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for told in [
        "stream ended outcome=\"finished\" prompt_tokens=",
        "completion_tokens=3 elapsed_ms=",
        "stream ended outcome=\"cut off\"",
    ] {
        assert!(log.contains(told), "{told} in\n{log}");
    }
    for told in ["answered", "key_id=\"key-of-a\"", "model=\"mock\"", "status=404", "step failed"] {
        assert!(log.contains(told), "{told} in\n{log}");
    }
    for untold in ["xyzzy", "secret", "0racle"] {
        assert!(!log.contains(untold), "{untold} in\n{log}");
    }
}
