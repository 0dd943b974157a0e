//! Adapters by name, in every API: found while the server runs, and never another's answer.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use engine_core::Adapter;
use engine_mock::{MockEngine, MockModel};
use scheduler_batching::{Handle, PlannerConfig};
use serde_json::{Value, json};
use server_http::{
    AdapterFault, AdapterInfo, Adapters, AppState, AppStateBuilder, Metrics, router,
};

use crate::common::{LIMITS, call, get, post_request, served, until_idle};

/// Adapters without weights; `full` says what loading fails with.
#[derive(Default)]
pub(crate) struct Fake {
    all: Mutex<Vec<AdapterInfo>>,
    loaded: Mutex<Vec<String>>,
    full: Mutex<Option<AdapterFault>>,
}

impl Fake {
    pub(crate) fn add(&self, name: &str, base_version: &str) {
        self.all.lock().unwrap().push(AdapterInfo {
            id: format!("mock:{name}"),
            base: "mock".to_owned(),
            version: format!("{name}56789abcdef").into(),
            base_version: base_version.into(),
            created_unix: 1_700_000_001,
        });
    }
}

impl Adapters for Fake {
    fn find(&self, base: &str, name: &str) -> Result<Option<AdapterInfo>, AdapterFault> {
        if name == "damaged" {
            return Err(AdapterFault::Broken("its manifest is damaged".to_owned()));
        }
        let id = format!("{base}:{name}");
        Ok(self.all.lock().unwrap().iter().find(|info| info.id == id).cloned())
    }

    fn all(&self) -> Vec<AdapterInfo> {
        self.all.lock().unwrap().clone()
    }

    fn in_memory(&self, info: &AdapterInfo) -> Option<Adapter> {
        let is_loaded = self.loaded.lock().unwrap().contains(&info.id);
        is_loaded.then(|| Adapter::new(&*info.version, Arc::new(())))
    }

    fn load(&self, info: &AdapterInfo) -> Result<Adapter, AdapterFault> {
        if let Some(fault) = self.full.lock().unwrap().clone() {
            return Err(fault);
        }
        self.loaded.lock().unwrap().push(info.id.clone());
        Ok(Adapter::new(&*info.version, Arc::new(())))
    }
}

pub(crate) const VERSION: &str = "sha256:0123456789abcdef";

/// A server over a mock that says other things with every adapter.
fn server() -> (Router, Arc<Fake>, Handle) {
    let (state, fake, handle) = builder();
    (router(state.build()), fake, handle)
}

/// The same yet to be built.
pub(crate) fn builder() -> (AppStateBuilder, Arc<Fake>, Handle) {
    let (metrics, fake) = (Arc::new(Metrics::new()), Arc::new(Fake::default()));
    let engine = MockEngine::new(LIMITS, MockModel::default());
    let model = served("mock", engine, PlannerConfig::default(), &metrics);
    let handle = model.handle.clone();
    let adapters: Arc<dyn Adapters> = Arc::clone(&fake) as _;
    (AppState::builder().model(model).metrics(metrics).adapters(adapters), fake, handle)
}

async fn send(router: &Router, path: &str, body: Value) -> (StatusCode, Value) {
    let (status, _, text) = call(router, post_request(path, body.to_string())).await;
    (status, serde_json::from_str(&text).unwrap())
}

fn completion(model: &str) -> Value {
    let prompt: Vec<u32> = (1..40).collect();
    json!({"model": model, "prompt": prompt, "max_tokens": 12, "temperature": 0, "seed": 1})
}

async fn complete(router: &Router, model: &str) -> String {
    let (status, answer) = send(router, "/v1/completions", completion(model)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["model"], model);
    answer["choices"][0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_name_has_its_own_answer_whatever_was_asked_before() {
    let (router, fake, _) = server();
    ["x", "y"].iter().for_each(|name| fake.add(name, VERSION));
    let mut said = Vec::new();
    for _ in 0..2 {
        for model in ["mock", "mock:x", "mock:y"] {
            said.push(complete(&router, model).await);
        }
    }
    // The second time the prompt is in the cache, of each its own.
    assert_eq!(said[..3], said[3..]);
    assert!(said[0] != said[1] && said[1] != said[2] && said[0] != said[2]);
    let at_once = ["mock:y", "mock", "mock:x"].map(|model| complete(&router, model));
    let [y, none, x] = at_once;
    assert_eq!(tokio::join!(none, x, y), (said[0].clone(), said[1].clone(), said[2].clone()));
}

#[tokio::test]
async fn what_comes_and_goes_while_the_server_runs_is_seen_at_once() {
    let (router, fake, _) = server();
    let missing = |status: StatusCode, answer: &Value| {
        assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
        assert_eq!(answer["error"]["code"], "model_not_found");
    };
    let (status, answer) = send(&router, "/v1/completions", completion("mock:x")).await;
    missing(status, &answer);
    fake.add("x", VERSION);
    complete(&router, "mock:x").await;
    let (_, _, text) = get(&router, "/v1/models").await;
    let listed: Value = serde_json::from_str(&text).unwrap();
    let adapter = json!({"id": "mock:x", "object": "model", "created": 1_700_000_001,
        "owned_by": "agentbase", "max_model_len": 512, "parent": "mock"});
    assert_eq!(listed["data"][0]["id"], "mock");
    assert_eq!(listed["data"][0].get("parent"), None);
    assert_eq!(listed["data"][1], adapter);
    let (status, _, text) = get(&router, "/v1/models/mock:x").await;
    assert_eq!((status, serde_json::from_str(&text).unwrap()), (StatusCode::OK, adapter));
    fake.all.lock().unwrap().clear();
    let (status, answer) = send(&router, "/v1/completions", completion("mock:x")).await;
    missing(status, &answer);
    for model in ["other:x", "mock:", ":x", "mock:x:y", "mock::x"] {
        let (status, answer) = send(&router, "/v1/completions", completion(model)).await;
        missing(status, &answer);
    }
}

#[tokio::test]
async fn every_api_takes_an_adapters_name() {
    let (router, fake, handle) = server();
    fake.add("x", VERSION);
    let hello = json!([{"role": "user", "content": "hello"}]);
    let chat = json!({"model": "mock:x", "max_tokens": 5, "messages": hello});
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let (status, answer) = send(&router, path, chat.clone()).await;
        assert_eq!((status, &answer["model"]), (StatusCode::OK, &json!("mock:x")), "{answer}");
    }
    let response = json!({"model": "mock:x", "input": "hello", "store": false,
        "max_output_tokens": 16});
    let (status, answer) = send(&router, "/v1/responses", response).await;
    assert_eq!((status, &answer["model"]), (StatusCode::OK, &json!("mock:x")), "{answer}");
    let converse = json!({"messages": [{"role": "user", "content": [{"text": "hello"}]}],
        "inferenceConfig": {"maxTokens": 5}});
    for id in ["mock:x", "mock%3Ax", "us.mock:x"] {
        let path = format!("/model/{id}/converse");
        let (status, answer) = send(&router, &path, converse.clone()).await;
        assert_eq!(status, StatusCode::OK, "{id}: {answer}");
    }
    let (status, answer) =
        send(&router, "/tokenize", json!({"model": "mock:x", "prompt": "a"})).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    until_idle(&handle).await;
    let (_, _, text) = get(&router, "/metrics").await;
    let counts = "agentbase_adapter_requests_total{model=\"mock:x\"} 6";
    assert!(text.contains(counts), "{text}");
    assert!(text.contains("agentbase_adapter_generated_tokens_total{model=\"mock:x\"}"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_used_says_why_and_the_server_goes_on() {
    let (router, fake, _) = server();
    fake.add("old", "sha256:of-before");
    fake.add("x", VERSION);
    let expect = async |model: &str, code: &str, retry: &str, words: &str| {
        let request = post_request("/v1/completions", completion(model).to_string());
        let (status, headers, text) = call(&router, request).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
        assert_eq!(headers["retry-after"], retry);
        let error = serde_json::from_str::<Value>(&text).unwrap();
        assert_eq!(error["error"]["code"], code);
        assert!(error["error"]["message"].as_str().unwrap().contains(words), "{text}");
    };
    expect("mock:old", "adapter_failed", "60", "import it again").await;
    expect("mock:damaged", "adapter_failed", "60", "manifest is damaged").await;
    let full = AdapterFault::Full("there is no room".to_owned());
    *fake.full.lock().unwrap() = Some(full);
    expect("mock:x", "adapters_in_use", "2", "no room").await;
    let broken = "tensor \"t\" has 7 inputs".to_owned();
    *fake.full.lock().unwrap() = Some(AdapterFault::Broken(broken));
    expect("mock:x", "adapter_failed", "60", "7 inputs").await;
    *fake.full.lock().unwrap() = None;
    complete(&router, "mock:x").await;
    complete(&router, "mock").await;
    // Those that do not fit are not listed.
    let (_, _, text) = get(&router, "/v1/models").await;
    let listed: Value = serde_json::from_str(&text).unwrap();
    let ids: Vec<_> = listed["data"].as_array().unwrap().iter().map(|m| m["id"].clone()).collect();
    assert_eq!(ids, ["mock", "mock:x"]);
}
