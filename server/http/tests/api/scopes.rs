//! What a key may be used for: endpoints, models and networks.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use engine_mock::{MockEngine, MockModel};
use scheduler_batching::PlannerConfig;
use serde_json::{Value, json};
use server_accounts::Scopes;
use server_http::{AppState, AuthError, Authenticate, Caller, Metrics, router};

use crate::bad_input::{CHAT, PLAIN, hello};
use crate::common::{EOS, LIMITS, call, served};

/// A key for each of these scopes, named by its place.
struct Keys(Vec<Scopes>);

impl Authenticate for Keys {
    fn check(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        let place: usize = bearer.and_then(|key| key.parse().ok()).ok_or(AuthError::Invalid)?;
        let scopes = self.0.get(place).ok_or(AuthError::Expired)?;
        let path = Caller::of_tenant("a", "k")?.path;
        Ok(Caller::new(path, Arc::new(scopes.clone())))
    }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn a_key_is_refused_what_it_is_not_for() {
    let keys = Keys(vec![
        Scopes::default(),
        Scopes { endpoints: texts(&["/v1/chat/*"]), ..Scopes::default() },
        Scopes { models: texts(&["other"]), ..Scopes::default() },
        Scopes { models: texts(&["mo*"]), ..Scopes::default() },
        Scopes { networks: vec![Scopes::network("10.0.0.0/8").unwrap()], ..Scopes::default() },
    ]);
    let metrics = Arc::new(Metrics::new());
    let engine = || MockEngine::new(LIMITS, MockModel::scripted("ok", EOS));
    let model = |id| served(id, engine(), PlannerConfig::default(), &metrics);
    let state = AppState::builder().model(model("mock")).model(model("other"));
    let router = router(state.auth(Arc::new(keys)).metrics(metrics.clone()).build());
    let ask = async |key: &str, path: &str, body: Value| {
        let request = Request::post(path).header("authorization", format!("Bearer {key}"));
        let (status, _, text) =
            call(&router, request.body(Body::from(body.to_string())).unwrap()).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let chat = async |key: &str| ask(key, CHAT, hello(json!({"max_tokens": 1}))).await;
    let plain = json!({"model": "mock", "prompt": "a", "max_tokens": 1});
    let ok = (StatusCode::OK, String::new());
    assert_eq!(chat("0").await, ok);
    assert_eq!(chat("1").await, ok);
    let refused = |status, code: &str| (status, code.to_owned());
    let endpoint = refused(StatusCode::FORBIDDEN, "insufficient_permissions");
    assert_eq!(ask("1", PLAIN, plain.clone()).await, endpoint);
    assert_eq!(ask("0", PLAIN, plain).await, ok);
    assert_eq!(chat("2").await, refused(StatusCode::NOT_FOUND, "model_not_found"));
    assert_eq!(chat("3").await, ok);
    assert_eq!(chat("4").await, refused(StatusCode::FORBIDDEN, "ip_not_authorized"));
    assert_eq!(chat("5").await, refused(StatusCode::UNAUTHORIZED, "invalid_api_key"));

    let models = async |key: &str| {
        let request = Request::get("/v1/models").header("authorization", format!("Bearer {key}"));
        let (_, _, text) = call(&router, request.body(Body::empty()).unwrap()).await;
        let list: Value = serde_json::from_str(&text).unwrap();
        let ids = list["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap());
        ids.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(models("0").await, ["mock", "other"]);
    assert_eq!(models("2").await, ["other"]);
}
