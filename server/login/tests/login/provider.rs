//! A provider on a port of this machine: OpenID Connect with one key and one person.
//!
//! Invariant: it gives a token only for the code, the client and the verifier of the login that it
//! was asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING as ES256, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use server_identity::UnixSeconds;
use server_login::{NamedProvider, ProviderData, ProviderKind};

const CLIENT: &str = "our-client";

#[derive(Clone)]
pub(crate) struct TestProvider {
    pub(crate) issuer: String,
    state: Arc<Conduct>,
}

struct Conduct {
    key: EcdsaKeyPair,
    /// Who logs in there: `sub`, `email`, …
    person: Mutex<Value>,
    /// By code.
    logins: Mutex<HashMap<String, HashMap<String, String>>>,
}

impl TestProvider {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ES256, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ES256, document.as_ref(), &random).unwrap();
        let (person, logins) = (Mutex::new(json!({})), Mutex::default());
        let provider = Self { issuer, state: Arc::new(Conduct { key, person, logins }) };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    /// As a server's configuration names it.
    pub(crate) fn named(&self) -> NamedProvider {
        let data = ProviderData {
            id: "test".to_owned(),
            kind: ProviderKind::Openid,
            url: Some(self.issuer.clone()),
            client_id: CLIENT.to_owned(),
            client_secret: None,
            trust_email: true,
        };
        NamedProvider::new(&data).unwrap()
    }

    /// Somebody logs in there, whose browser was sent to `url`: the query it comes back with.
    pub(crate) fn log_in(&self, url: &str, person: Value) -> String {
        let asked = pairs(url.split_once('?').unwrap().1);
        *self.state.person.lock().unwrap() = person;
        let mut logins = self.state.logins.lock().unwrap();
        let code = format!("code{}", logins.len());
        let query = format!("code={code}&state={}", asked["state"]);
        logins.insert(code, asked);
        query
    }
}

fn pairs(text: &str) -> HashMap<String, String> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

async fn metadata(State(provider): State<TestProvider>) -> Json<Value> {
    let issuer = &provider.issuer;
    Json(json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
    }))
}

async fn keys(State(provider): State<TestProvider>) -> Json<Value> {
    let point = provider.state.key.public_key().as_ref();
    let (x, y) = (BASE64URL.encode(&point[1..33]), BASE64URL.encode(&point[33..]));
    Json(json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": x, "y": y}]}))
}

async fn token(State(provider): State<TestProvider>, body: String) -> Response {
    let form = pairs(&body);
    let login = provider.state.logins.lock().unwrap().get(&form["code"]).cloned();
    let challenge = digest::digest(&digest::SHA256, form["code_verifier"].as_bytes());
    let Some(login) = login.filter(|login| {
        login["code_challenge"] == BASE64URL.encode(challenge.as_ref())
            && login["redirect_uri"] == form["redirect_uri"]
            && form["client_id"] == CLIENT
    }) else {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
    };
    let now = UnixSeconds::now().0;
    let mut claims = json!({"iss": provider.issuer, "aud": CLIENT, "iat": now, "exp": now + 300,
        "nonce": login["nonce"]});
    let person = provider.state.person.lock().unwrap().clone();
    claims.as_object_mut().unwrap().extend(person.as_object().unwrap().clone());
    let part = |value: &Value| BASE64URL.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "ES256", "kid": "k"})), part(&claims));
    let signature = provider.state.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    let token = format!("{signed}.{}", BASE64URL.encode(signature.as_ref()));
    Json(json!({"access_token": "at", "token_type": "Bearer", "id_token": token})).into_response()
}
