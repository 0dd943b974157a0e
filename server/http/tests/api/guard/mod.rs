//! Guards before and after generation, on every surface: masked, stopped, counted, never leaked.

mod input;
mod output;

use std::sync::Arc;

use axum::http::StatusCode;
use engine_core::EngineLimits;
use engine_mock::{MockEngine, MockModel};
use scheduler_batching::PlannerConfig;
use serde_json::{Value, json};
use server_guard::{Action, DenyList, Guard, Guards, Pii, PiiKind};
use server_http::{AppState, Metrics, router};

use crate::common::{EOS, LIMITS, Server, call, events, post, post_request, served};

const CHAT: &str = "/v1/chat/completions";
const PLAIN: &str = "/v1/completions";
const MESSAGES: &str = "/v1/messages";

const SAID: &str = "Write to ann@example.com or call +49 151 12345678.";
const MASKED: &str = "Write to [EMAIL] or call [PHONE].";

fn pii(action: Action) -> Arc<dyn Guard> {
    Arc::new(Pii::new(&PiiKind::ALL, action))
}

fn deny(action: Action) -> Arc<dyn Guard> {
    Arc::new(DenyList::parse("bad cat\nxyzzy", action).unwrap())
}

fn server(model: MockModel, guards: Guards) -> Server {
    let metrics = Arc::new(Metrics::new());
    let engine = MockEngine::new(EngineLimits { max_model_len: 2048, ..LIMITS }, model);
    let model = served("mock", engine, PlannerConfig::default(), &metrics);
    let handle = model.handle.clone();
    let state = AppState::builder().model(model).metrics(metrics).guards(guards).build();
    Server { router: router(state.clone()), state, handle }
}

/// A model that says `text`, checked by `output`.
fn says(text: &str, output: Vec<Arc<dyn Guard>>) -> Server {
    server(MockModel::scripted(text, EOS), Guards { input: Vec::new(), output })
}

/// A model that is asked through `input`.
fn asked(input: Vec<Arc<dyn Guard>>) -> Server {
    server(MockModel::scripted("ok", EOS), Guards { input, output: Vec::new() })
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn chat(more: Value) -> Value {
    with(json!({"model": "mock", "messages": [{"role": "user", "content": "hello"}]}), more)
}

fn plain(more: Value) -> Value {
    with(json!({"model": "mock", "prompt": "x", "max_tokens": 300}), more)
}

/// The texts and reasons of the choices, whole or from a stream.
async fn choices(server: &Server, path: &str, body: Value) -> Vec<(String, String)> {
    let num_choices = body["n"].as_u64().unwrap_or(1) as usize;
    let answers = if body["stream"] == true {
        events(&server.router, path, body).await
    } else {
        let (status, answer) = post(&server.router, path, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        vec![answer]
    };
    let mut choices = vec![(String::new(), String::new()); num_choices];
    for choice in answers.iter().flat_map(|answer| answer["choices"].as_array().unwrap()) {
        let (text, reason) = &mut choices[choice["index"].as_u64().unwrap() as usize];
        for at in ["/text", "/message/content", "/delta/content"] {
            *text += choice.pointer(at).and_then(Value::as_str).unwrap_or_default();
        }
        *reason += choice["finish_reason"].as_str().unwrap_or_default();
    }
    choices
}

/// The text and the reason of a message, whole or from a stream.
async fn message(server: &Server, more: Value) -> (String, String) {
    let body = with(chat(json!({"max_tokens": 300})), more);
    let (status, _, text) = call(&server.router, post_request(MESSAGES, body.to_string())).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let lines = text.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    let parts: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
    let (mut text, mut reason) = (String::new(), String::new());
    for part in &parts {
        for at in ["/content/0/text", "/delta/text"] {
            text += part.pointer(at).and_then(Value::as_str).unwrap_or_default();
        }
        for at in ["/stop_reason", "/delta/stop_reason"] {
            reason += part.pointer(at).and_then(Value::as_str).unwrap_or_default();
        }
    }
    (text, reason)
}
