//! A server without weights, and the few ways tests talk to it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use engine_core::{CacheGroups, EngineLimits};
use engine_grammar::Compiler;
use engine_mock::{Fault, MockEngine, MockModel, Script, StepCost};
use engine_text::TextModel;
use scheduler_batching::{Handle, PlannerConfig, Stats, spawn_with};
use serde_json::Value;
use server_http::{AppState, HttpLimits, Metrics, ServedModel, router};
use tower::ServiceExt;

pub(crate) const EOS: u32 = 257;
pub(crate) const MAX_MODEL_LEN: u32 = 512;
pub(crate) const LIMITS: EngineLimits = EngineLimits {
    block_size: 16,
    num_blocks: 256,
    max_model_len: MAX_MODEL_LEN,
    max_step_tokens: 256,
    max_step_seqs: 16,
    vocab_size: 260,
    groups: CacheGroups::WHOLE,
};

/// A running driver behind a router; `mock` is the model's id.
pub(crate) struct Server {
    pub(crate) router: Router,
    pub(crate) state: AppState,
    pub(crate) handle: Handle,
}

/// A server whose engine fails in one step.
pub(crate) fn faulty(model: MockModel, step_idx: u64, fault: Fault) -> Server {
    let engine = MockEngine::new(LIMITS, model).with_fault(step_idx, fault);
    server_of(engine, PlannerConfig::default(), HttpLimits::default())
}

pub(crate) fn server(model: MockModel) -> Server {
    server_with(model, PlannerConfig::default(), HttpLimits::default())
}

pub(crate) fn server_with(model: MockModel, config: PlannerConfig, limits: HttpLimits) -> Server {
    server_of(MockEngine::new(LIMITS, model), config, limits)
}

fn server_of(engine: MockEngine, config: PlannerConfig, limits: HttpLimits) -> Server {
    let metrics = Arc::new(Metrics::new());
    let model = served("mock", engine, config, &metrics);
    let handle = model.handle.clone();
    let state = AppState::builder().model(model).metrics(metrics).limits(limits).build();
    Server { router: router(state.clone()), state, handle }
}

pub(crate) fn served(
    id: &str,
    engine: MockEngine,
    config: PlannerConfig,
    metrics: &Metrics,
) -> ServedModel {
    let (handle, _driver) = spawn_with(Box::new(engine), config, metrics.observer(id));
    let text = Arc::new(TextModel::byte_level());
    ServedModel {
        id: id.to_owned(),
        version: "sha256:0123456789abcdef".into(),
        created_unix: 1_700_000_000,
        grammars: Arc::new(Compiler::new(Arc::clone(&text), 0)),
        text,
        handle,
        adapter: None,
        vision: None,
    }
}

/// A model that says `text` and then ends.
pub(crate) fn says(text: &str) -> Server {
    server(MockModel::scripted(text, EOS))
}

/// The same with room for longer prompts.
pub(crate) fn roomy(model: MockModel) -> Server {
    let limits = EngineLimits { max_model_len: 2048, ..LIMITS };
    server_of(MockEngine::new(limits, model), PlannerConfig::default(), HttpLimits::default())
}

/// A model that never ends by itself, and takes seconds to the end of its context: whatever is to
/// happen meanwhile does, on a busy machine too.
pub(crate) fn endless() -> MockModel {
    let cost = StepCost { delay: Duration::from_millis(30), ..StepCost::default() };
    MockModel { cost, script: Some(Script::new("and so on ")), ..MockModel::default() }
}

pub(crate) async fn call(
    router: &Router,
    request: Request<Body>,
) -> (StatusCode, HeaderMap, String) {
    let response = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
}

pub(crate) fn post_request(path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(body.into()).unwrap()
}

pub(crate) async fn get(router: &Router, path: &str) -> (StatusCode, HeaderMap, String) {
    call(router, Request::get(path).body(Body::empty()).unwrap()).await
}

/// The answer with its id and time, which differ each time, taken out.
pub(crate) async fn post(router: &Router, path: &str, body: Value) -> (StatusCode, Value) {
    let (status, _, text) = call(router, post_request(path, body.to_string())).await;
    let mut answer = serde_json::from_str(&text).unwrap();
    steady(&mut answer);
    (status, answer)
}

/// The data of the events of a stream.
pub(crate) async fn events(router: &Router, path: &str, body: Value) -> Vec<Value> {
    let (status, headers, text) = call(router, post_request(path, body.to_string())).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert_eq!(headers["content-type"], "text/event-stream");
    let blocks: Vec<&str> = text.split_terminator("\n\n").collect();
    let data = blocks.iter().map(|block| block.strip_prefix("data: ").unwrap());
    let mut data: Vec<&str> = data.collect();
    assert_eq!(data.pop(), Some("[DONE]"));
    let parse = |data: &str| {
        let mut event = serde_json::from_str(data).unwrap();
        steady(&mut event);
        event
    };
    data.into_iter().map(parse).collect()
}

/// Checks and takes out what differs from answer to answer.
fn steady(answer: &mut Value) {
    let Some(fields) = answer.as_object_mut().filter(|fields| fields.contains_key("choices"))
    else {
        return;
    };
    let id = fields.remove("id").unwrap();
    let prefix = if fields["object"] == "text_completion" { "cmpl-" } else { "chatcmpl-" };
    assert!(id.as_str().unwrap().starts_with(prefix), "{id}");
    assert!(fields.remove("created").unwrap().as_u64().unwrap() > 1_700_000_000);
    assert_eq!(fields.remove("model").unwrap(), "mock");
    assert_eq!(fields.remove("system_fingerprint").unwrap(), "fp_0123456789ab");
}

/// Waits for work to end everywhere.
pub(crate) async fn until_idle(handle: &Handle) {
    until(handle, |stats| {
        (stats.running, stats.waiting, stats.running_seqs, stats.blocks_used) == (0, 0, 0, 0)
    })
    .await;
}

/// Waits until as many requests run.
pub(crate) async fn until_running(handle: &Handle, num_requests: usize) {
    until(handle, |stats| stats.running >= num_requests).await;
}

/// Waits until as many requests wait.
pub(crate) async fn until_waiting(handle: &Handle, num_requests: usize) {
    until(handle, |stats| stats.waiting >= num_requests).await;
}

/// The time limit asserts nothing about speed: it turns a hang into a failure.
async fn until(handle: &Handle, holds: impl Fn(&Stats) -> bool) {
    let poll = async {
        while !holds(&handle.stats()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), poll).await;
    assert!(in_time.is_ok(), "{:?}", handle.stats());
}
