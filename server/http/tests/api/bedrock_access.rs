//! Who may ask Bedrock's routes: by key, or by a signature that holds for the very request.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::DateTime;
use engine_mock::{MockEngine, MockModel};
use hmac::{Hmac, Mac};
use scheduler_batching::PlannerConfig;
use serde_json::{Value, json};
use server_http::{AppState, AuthError, Authenticate, Caller, HttpLimits, Metrics, Signer, router};
use sha2::{Digest, Sha256};

use crate::bedrock::{converse, send};
use crate::common::{EOS, LIMITS, says, served};

const PATH: &str = "/model/mock/converse";

/// The keys `a-secret`, `b-secret`; their ids are `A`, `B`; `OLD` has no secret.
struct Keys;

fn caller(tenant: &str) -> Caller {
    Caller::of_tenant(tenant, &format!("key-of-{tenant}")).unwrap()
}

impl Authenticate for Keys {
    fn check(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        match bearer.ok_or(AuthError::Missing)? {
            "a-secret" => Ok(caller("a")),
            "b-secret" => Ok(caller("b")),
            _ => Err(AuthError::Invalid),
        }
    }

    fn signer(&self, id: &str) -> Result<Signer, AuthError> {
        match id {
            "A" => Ok(Signer { caller: caller("a"), secrets: vec!["of a".into()] }),
            "B" => Ok(Signer { caller: caller("b"), secrets: vec!["of b".into()] }),
            "OLD" => Err(AuthError::NoSecret),
            _ => Err(AuthError::UnknownAccessKey),
        }
    }
}

fn with_limits(limits: HttpLimits) -> Router {
    let metrics = Arc::new(Metrics::new());
    let engine = MockEngine::new(LIMITS, MockModel::scripted("ok", EOS));
    let model = served("mock", engine, PlannerConfig::default(), &metrics);
    let state = AppState::builder().model(model).auth(Arc::new(Keys)).limits(limits);
    router(state.metrics(metrics).build())
}

/// How a request is signed.
#[derive(Clone)]
struct Signing {
    id: &'static str,
    secret: &'static str,
    service: &'static str,
    path: &'static str,
    body: String,
    /// Seconds from now.
    shift: i64,
}

impl Signing {
    fn by_a() -> Self {
        let body = converse(json!({})).to_string();
        Self { id: "A", secret: "of a", service: "bedrock", path: PATH, body, shift: 0 }
    }

    /// Signed as AWS's clients do it; `path` as it is sent.
    fn request(&self) -> Request<Body> {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let hmac = |key: &[u8], text: &str| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let time = DateTime::from_timestamp(now + self.shift, 0).unwrap();
        let time = time.format("%Y%m%dT%H%M%SZ").to_string();
        let (day, signed) = (&time[..8], "content-type;host;x-amz-date");
        let canonical = format!(
            "POST\n{}\n\ncontent-type:application/json\nhost:localhost\nx-amz-date:{time}\n\n\
             {signed}\n{}",
            self.path.replace('%', "%25"),
            hex(&Sha256::digest(&self.body))
        );
        let scope = format!("{day}/eu-west-1/{}/aws4_request", self.service);
        let canonical = hex(&Sha256::digest(canonical));
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{canonical}");
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in scope.split('/') {
            key = hmac(&key, part);
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={}",
            self.id,
            hex(&hmac(&key, &text))
        );
        Request::post(self.path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("x-amz-date", time)
            .header("authorization", authorization)
            .body(Body::from(self.body.clone()))
            .unwrap()
    }
}

/// The status, and the error's name.
async fn ask(router: &Router, request: Request<Body>) -> (u16, String) {
    let (status, headers, body) = send(router, request).await;
    let name = headers.get("x-amzn-errortype").map_or("", |name| name.to_str().unwrap());
    if !name.is_empty() {
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(!body["message"].as_str().unwrap().is_empty(), "{body}");
    }
    (status.as_u16(), name.to_owned())
}

#[tokio::test]
async fn signatures_hold_for_the_very_request_and_no_other() {
    let router = with_limits(HttpLimits::default());
    let good = Signing::by_a();
    let granted = (200, String::new());
    assert_eq!(ask(&router, good.request()).await, granted);
    let large = converse(json!({"pad": "x".repeat(100_000)})).to_string();
    assert_eq!(ask(&router, Signing { body: large, ..good.clone() }.request()).await, granted);
    let escaped = Signing { path: "/model/%6Dock/converse", ..good.clone() };
    assert_eq!(ask(&router, escaped.request()).await, granted);
    for shift in [-14 * 60, 14 * 60] {
        assert_eq!(ask(&router, Signing { shift, ..good.clone() }.request()).await, granted);
    }

    let invalid = (403, "InvalidSignatureException".to_owned());
    for wrong in [
        Signing { secret: "of b", ..good.clone() },
        Signing { id: "B", ..good.clone() },
        Signing { service: "s3", ..good.clone() },
        Signing { shift: -16 * 60, ..good.clone() },
        Signing { shift: 16 * 60, ..good.clone() },
    ] {
        assert_eq!(ask(&router, wrong.request()).await, invalid);
    }
    // Changed on the way.
    let mut request = good.request();
    *request.body_mut() = Body::from(converse(json!({"system": []})).to_string());
    assert_eq!(ask(&router, request).await, invalid);
    for path in ["/model/mock/converse-stream", "/model/mock/converse?a=b"] {
        let mut request = good.request();
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(ask(&router, request).await, invalid, "{path}");
    }
    for (name, value) in [
        ("host", "elsewhere"),
        ("content-type", "application/json; charset=utf-8"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
    ] {
        let mut request = good.request();
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(ask(&router, request).await, invalid, "{name}");
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why_by_awss_names() {
    let router = with_limits(HttpLimits::default());
    let good = Signing::by_a();
    let of = |request: Request<Body>| ask(&router, request);
    let old = Signing { id: "OLD", ..good.clone() };
    assert_eq!(of(old.request()).await, (403, "AccessDeniedException".into()));
    let unknown = Signing { id: "AKIAIOSFODNN7EXAMPLE", ..good.clone() };
    assert_eq!(of(unknown.request()).await, (403, "UnrecognizedClientException".into()));
    let mut request = good.request();
    request.headers_mut().insert("x-amz-security-token", "t".parse().unwrap());
    assert_eq!(of(request).await, (403, "UnrecognizedClientException".into()));
    let with = |authorization: Option<&str>| {
        let mut request = Request::post(PATH);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        request.body(Body::from(good.body.clone())).unwrap()
    };
    for (authorization, status, name) in [
        (Some("Bearer a-secret"), 200, ""),
        (Some("Bearer wrong"), 403, "AccessDeniedException"),
        (None, 403, "MissingAuthenticationTokenException"),
        (Some("Basic YTpi"), 403, "MissingAuthenticationTokenException"),
        (Some("AWS4-HMAC-SHA256"), 403, "IncompleteSignatureException"),
        (Some("AWS4-HMAC-SHA256 Credential=A/////,,;"), 403, "IncompleteSignatureException"),
        (Some("AWS4-ECDSA-P256-SHA256 Credential=A"), 403, "IncompleteSignatureException"),
    ] {
        assert_eq!(of(with(authorization)).await, (status, name.into()), "{authorization:?}");
    }
    // Elsewhere a signature is no key, and a server without keys looks at none.
    let mut request = good.request();
    *request.uri_mut() = "/v1/chat/completions".parse().unwrap();
    assert_eq!(send(&router, request).await.0, StatusCode::UNAUTHORIZED);
    let open = says("ok").router;
    assert_eq!(ask(&open, Signing { secret: "wrong", ..good }.request()).await.0, 200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_hashed() {
    let router = with_limits(HttpLimits { max_body_bytes: 1000, ..HttpLimits::default() });
    let body = converse(json!({"pad": "x".repeat(1000)})).to_string();
    let answer = ask(&router, Signing { body, ..Signing::by_a() }.request()).await;
    assert_eq!(answer, (413, "ValidationException".into()));
}

#[tokio::test]
async fn tenants_that_sign_do_not_share_what_is_cached() {
    let router = with_limits(HttpLimits::default());
    let messages = json!([{"role": "user", "content": [{"text": "The same words. ".repeat(4)}]}]);
    let body = json!({"messages": messages}).to_string();
    let mut cached = Vec::new();
    for (id, secret) in [("A", "of a"), ("A", "of a"), ("B", "of b"), ("B", "of b")] {
        let signing = Signing { id, secret, body: body.clone(), ..Signing::by_a() };
        let (status, _, answer) = send(&router, signing.request()).await;
        assert_eq!(status, StatusCode::OK);
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        cached.push(answer["usage"]["cacheReadInputTokens"].as_u64().unwrap() > 0);
    }
    assert_eq!(cached, [false, true, false, true]);
}
