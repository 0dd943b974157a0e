//! A provider for tests, on a port of this machine: OpenID Connect and, beside it, GitHub's API.
//!
//! Invariant: it gives tokens only for the code, the client and the verifier of the login that it
//! was asked for, as real ones do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64URL};
use reqwest::Url;
use serde_json::{Value, json};

use super::keys::Signer;
use super::{CLIENT, NOW, SECRET};
use crate::SecretHash;

/// What the provider does; tests change it.
pub(super) struct Conduct {
    pub(super) metadata: Value,
    pub(super) keys: Vec<Value>,
    pub(super) signer: Signer,
    pub(super) kid: Value,
    /// Over the usual ones; `null` takes one away.
    pub(super) claims: Value,
    /// Over the usual one.
    pub(super) header: Value,
    /// Instead of a signed one.
    pub(super) token: Option<fn(&str) -> String>,
    pub(super) emails: Value,
    /// Instead of the usual answer to requests of this path.
    pub(super) answers: HashMap<&'static str, (StatusCode, String)>,
    /// Logins that were begun, by their code.
    logins: HashMap<String, HashMap<String, String>>,
    /// Of all requests.
    paths: Vec<String>,
}

/// It runs as long as the test.
#[derive(Clone)]
pub(super) struct TestProvider {
    pub(super) issuer: String,
    conduct: Arc<Mutex<Conduct>>,
}

impl TestProvider {
    pub(super) async fn start(signer: Signer) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let metadata = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
        });
        let conduct = Conduct {
            metadata,
            keys: vec![json!({ "kty": "OKP" }), signer.jwk("k1")],
            signer,
            kid: "k1".into(),
            claims: json!({}),
            header: json!({}),
            token: None,
            emails: json!([]),
            answers: HashMap::new(),
            logins: HashMap::new(),
            paths: Vec::new(),
        };
        let provider = Self { issuer, conduct: Arc::new(Mutex::new(conduct)) };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata_of))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/login/oauth/access_token", post(access_token))
            .route("/api/v3/user", get(user))
            .route("/api/v3/user/emails", get(emails))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub(super) fn conduct(&self) -> MutexGuard<'_, Conduct> {
        self.conduct.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often `path` was asked for.
    pub(super) fn num_requests(&self, path: &str) -> usize {
        self.conduct().paths.iter().filter(|asked| *asked == path).count()
    }

    /// What somebody does who logs in at `url`: the code that the browser comes back with.
    pub(super) fn log_in(&self, url: &str) -> String {
        let url = Url::parse(url).unwrap();
        let mut conduct = self.conduct();
        let code = format!("code/{}", conduct.logins.len());
        let asked = url.query_pairs().into_owned().collect();
        conduct.logins.insert(code.clone(), asked);
        code
    }

    /// Notes the request; an answer that a test has set.
    fn ask(&self, uri: &Uri) -> Option<Response> {
        let mut conduct = self.conduct();
        conduct.paths.push(uri.path().to_owned());
        let (status, body) = conduct.answers.get(uri.path())?.clone();
        Some((status, [(header::LOCATION, "/keys")], body).into_response())
    }

    /// The login that a request for tokens is of.
    fn login(&self, headers: &HeaderMap, body: &[u8]) -> Option<HashMap<String, String>> {
        let form: HashMap<String, String> =
            Url::parse(&format!("x:?{}", std::str::from_utf8(body).ok()?))
                .ok()?
                .query_pairs()
                .into_owned()
                .collect();
        let login = self.conduct().logins.remove(form.get("code")?)?;
        let challenge = BASE64URL.encode(SecretHash::of(form.get("code_verifier")?).0);
        let basic = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap());
        let encoded = format!("{CLIENT}:s%2Bcret");
        let is_client = match basic {
            Some(basic) => {
                basic == format!("Basic {}", BASE64_STANDARD.encode(encoded))
                    && !form.contains_key("client_secret")
            }
            None => form.get("client_id")? == CLIENT && form.get("client_secret")? == SECRET,
        };
        let is_right = form["grant_type"] == "authorization_code"
            && login["code_challenge_method"] == "S256"
            && login["code_challenge"] == challenge
            && login["redirect_uri"] == form["redirect_uri"]
            && is_client;
        is_right.then_some(login)
    }
}

fn refused() -> Response {
    let body = json!({ "error": "invalid_grant", "error_description": "no such code" });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// `changes` over `value`; `null` takes a field away.
fn merge(mut value: Value, changes: &Value) -> Value {
    let fields = value.as_object_mut().unwrap();
    for (name, change) in changes.as_object().unwrap() {
        match change {
            Value::Null => fields.remove(name),
            change => fields.insert(name.clone(), change.clone()),
        };
    }
    value
}

async fn metadata_of(State(provider): State<TestProvider>, uri: Uri) -> Response {
    let set = provider.ask(&uri);
    set.unwrap_or_else(|| Json(provider.conduct().metadata.clone()).into_response())
}

async fn keys(State(provider): State<TestProvider>, uri: Uri) -> Response {
    let set = provider.ask(&uri);
    set.unwrap_or_else(|| Json(json!({ "keys": provider.conduct().keys })).into_response())
}

async fn token(
    State(provider): State<TestProvider>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(set) = provider.ask(&uri) {
        return set;
    }
    let Some(login) = provider.login(&headers, &body) else { return refused() };
    let conduct = provider.conduct();
    let claims = json!({
        "iss": provider.issuer, "sub": "u-17", "aud": CLIENT, "iat": NOW.0, "exp": NOW.0 + 300,
        "nonce": login["nonce"], "email": "Ada@Example.org", "email_verified": true,
        "name": "Ada\nLovelace", "at_hash": "x", "groups": ["a", "b"],
    });
    let header = json!({ "alg": conduct.signer.algorithm(), "kid": conduct.kid, "typ": "JWT" });
    let (header, claims) = (merge(header, &conduct.header), merge(claims, &conduct.claims));
    let signed = conduct.signer.token(&header, &claims);
    let id_token = conduct.token.map_or(signed.clone(), |change| change(&signed));
    Json(json!({ "access_token": "at", "token_type": "Bearer", "id_token": id_token }))
        .into_response()
}

async fn access_token(
    State(provider): State<TestProvider>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(set) = provider.ask(&uri) {
        return set;
    }
    match provider.login(&headers, &body) {
        // As GitHub does it: with status 200.
        None => Json(json!({ "error": "bad_verification_code" })).into_response(),
        Some(_) => Json(json!({ "access_token": "gho_1", "scope": "" })).into_response(),
    }
}

fn api(provider: &TestProvider, uri: &Uri, headers: &HeaderMap, body: Value) -> Response {
    if let Some(set) = provider.ask(uri) {
        return set;
    }
    // Its API refuses who does not say what they are.
    let is_fine = headers.get(header::AUTHORIZATION).is_some_and(|value| value == "Bearer gho_1")
        && headers.contains_key(header::USER_AGENT);
    if is_fine { Json(body).into_response() } else { StatusCode::UNAUTHORIZED.into_response() }
}

async fn user(State(provider): State<TestProvider>, uri: Uri, headers: HeaderMap) -> Response {
    let body = json!({ "id": 583_231, "login": "octocat", "name": null, "email": "x@example.net" });
    api(&provider, &uri, &headers, body)
}

async fn emails(State(provider): State<TestProvider>, uri: Uri, headers: HeaderMap) -> Response {
    let body = provider.conduct().emails.clone();
    api(&provider, &uri, &headers, body)
}
