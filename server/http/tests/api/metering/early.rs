//! Requests that end before their answer does: what their clients were handed by then is charged.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use engine_mock::{Fault, MockEngine, MockModel, Script};
use futures_util::StreamExt;
use scheduler_batching::{Handle, PlannerConfig};
use serde_json::{Value, json};
use server_guard::{Action, DenyList, Guards};
use server_metering::{Ending, Usage};
use server_store::{Database, Limits, Store};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use super::{CHAT, PLAIN, World, events, flat, mock, tokens, world};
use crate::common::{
    EOS, LIMITS, call, endless, post_request, until_idle, until_running, until_waiting,
};

/// Its tokens, all bytes of it and what begins a text.
const PROMPT: &str = "hello";
const NUM_PROMPT: u64 = 6;

fn long(more: Value) -> Value {
    let mut body = json!({"model": "mock", "prompt": PROMPT, "max_tokens": 400});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// Reads so many pieces of a stream and goes away: what came.
async fn read(world: &World, path: &str, body: Value, num_pieces: usize) -> Vec<Value> {
    let request = post_request(path, body.to_string());
    let response = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut pieces = response.into_body().into_data_stream();
    let mut text = String::new();
    for _ in 0..num_pieces {
        text += std::str::from_utf8(&pieces.next().await.unwrap().unwrap()).unwrap();
    }
    events(&text)
}

fn said(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect()
}

#[tokio::test]
async fn who_goes_away_from_a_stream_pays_for_what_was_sent() {
    let (world, handle) = world(endless());
    for (idx, (more, num_pieces)) in [
        (json!({"stream": true}), 3),
        (json!({"stream": true, "stop": ["on and on"]}), 8),
        (json!({"stream": true, "n": 3}), 4),
        (json!({"stream": true, "echo": true}), 3),
    ]
    .into_iter()
    .enumerate()
    {
        let events = read(&world, PLAIN, long(more.clone()), num_pieces).await;
        let said = said(&events);
        let said = if more["echo"] == true { said.trim_start_matches(PROMPT) } else { &said };
        assert!(!said.is_empty());
        let entry = world.last(idx + 1).await;
        assert_eq!(entry.ending, Ending::Dropped);
        let [input, cached, output] = tokens(entry.usage);
        assert_eq!((input + cached, output), (NUM_PROMPT, said.len() as u64), "{more}: {said}");
    }
    until_idle(&handle).await;
    assert_eq!((world.standing().in_flight, world.standing().held.cost.get()), (0, 0));
}

#[tokio::test]
async fn what_may_be_the_begin_of_a_stop_text_was_not_sent() {
    let model = MockModel { script: Some(Script::new("a")), ..endless() };
    let (world, _) = world(model);
    // Three of the last letters may be, whatever was sent before.
    let events = read(&world, PLAIN, long(json!({"stream": true, "stop": "aaab"})), 4).await;
    let num_sent = said(&events).len() as u64;
    assert!(num_sent > 0);
    assert_eq!(tokens(world.last(1).await.usage)[2], num_sent);
}

#[tokio::test]
async fn what_a_guard_holds_back_was_not_sent() {
    let deny = DenyList::parse("and so not", Action::Stop).unwrap();
    let guards = Guards { input: Vec::new(), output: vec![std::sync::Arc::new(deny)] };
    let (state, _) = mock(MockEngine::new(LIMITS, endless()), PlannerConfig::default());
    let world = World::new(state.guards(guards), flat());
    let all = read(&world, PLAIN, long(json!({"stream": true, "logprobs": 0})), 4).await;
    let num_scored: usize = all
        .iter()
        .filter_map(|event| event["choices"][0]["logprobs"]["tokens"].as_array())
        .map(Vec::len)
        .sum();
    let output = tokens(world.last(1).await.usage)[2];
    // A score waits for the end of its token's text, which is charged from its beginning.
    assert!((num_scored as u64..=said(&all).len() as u64).contains(&output), "{all:?} {output}");
    assert_eq!(output, said(&all).len() as u64);
}

fn ask(world: &World, body: &Value, id: &str) -> JoinHandle<(StatusCode, String)> {
    let mut request = post_request(PLAIN, body.to_string());
    request.headers_mut().insert("x-request-id", id.parse().unwrap());
    let router = world.router.clone();
    tokio::spawn(async move {
        let (status, _, text) = call(&router, request).await;
        (status, text)
    })
}

async fn cancel(world: &World, id: &str) {
    let form = format!("/v1/requests/{id}");
    let request = Request::builder().method(Method::DELETE).uri(form).body(Body::empty());
    assert_eq!(call(&world.router, request.unwrap()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_cancel_and_a_deadline_are_charged_as_the_wish_of_the_client() {
    let (world, handle) = world(endless());
    let running = ask(&world, &long(json!({})), "whole");
    until_running(&handle, 1).await;
    cancel(&world, "whole").await;
    assert_eq!(running.await.unwrap().0.as_u16(), 499);
    let entry = world.last(1).await;
    // Nothing of an answer in one piece was told.
    assert_eq!((tokens(entry.usage), entry.ending), ([NUM_PROMPT, 0, 0], Ending::Cancelled));

    let stream = ask(&world, &long(json!({"stream": true, "timeout": 0.3})), "stream");
    let (status, text) = stream.await.unwrap();
    assert_eq!(status, StatusCode::OK);
    let all = events(&text);
    assert_eq!(all.last().unwrap()["error"]["code"], "deadline_exceeded", "{text}");
    let entry = world.last(2).await;
    let [input, cached, output] = tokens(entry.usage);
    assert_eq!((entry.ending, output), (Ending::Cancelled, said(&all).len() as u64));
    assert_eq!(input + cached, NUM_PROMPT);

    // Who goes away while nothing was told yet pays for the prompt.
    until_idle(&handle).await;
    let running = ask(&world, &long(json!({})), "gone");
    until_running(&handle, 1).await;
    running.abort();
    let entry = world.last(3).await;
    assert_eq!((tokens(entry.usage)[2], entry.ending), (0, Ending::Dropped));
    assert_ne!(entry.usage, Usage::NONE);
}

#[tokio::test]
async fn what_waited_and_what_was_not_taken_costs_nothing() {
    let config = PlannerConfig { max_running_seqs: 1, max_waiting: 1, ..PlannerConfig::default() };
    let (state, handle) = mock(MockEngine::new(LIMITS, endless()), config);
    let world = World::new(state, flat());
    let running = ask(&world, &long(json!({})), "one");
    until_running(&handle, 1).await;
    let waiting = ask(&world, &long(json!({"stream": true})), "two");
    until_waiting(&handle, 1).await;
    let (status, _, _) = world.post(PLAIN, long(json!({}))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.last(1).await.usage, Usage::NONE);
    cancel(&world, "two").await;
    waiting.await.unwrap();
    let entry = world.last(2).await;
    assert_eq!((entry.usage, entry.ending), (Usage::NONE, Ending::Cancelled));
    running.abort();
    assert_ne!(world.last(3).await.usage, Usage::NONE);
}

#[tokio::test]
async fn an_engine_that_fails_is_paid_for_what_it_sent_before() {
    let faulty = |step| {
        let engine =
            MockEngine::new(LIMITS, endless()).with_fault(step, Fault::Error("broken".to_owned()));
        let (state, _) = mock(engine, PlannerConfig { draft_fill: 0, ..PlannerConfig::default() });
        World::new(state, flat())
    };
    for (step, more) in [(4, json!({})), (0, json!({"stream": true}))] {
        let world = faulty(step);
        let (_, _, answer) = world.post(PLAIN, long(more)).await;
        assert!(answer.to_string().contains("internal_error"), "{answer}");
        let entry = world.last(1).await;
        assert_eq!((entry.usage, entry.ending), (Usage::NONE, Ending::Failed));
    }
    let world = faulty(4);
    let body = long(json!({"stream": true})).to_string();
    let (_, _, text) = call(&world.router, post_request(PLAIN, body)).await;
    let entry = world.last(1).await;
    let num_sent = said(&events(&text)).len() as u64;
    assert_eq!((tokens(entry.usage), num_sent), ([NUM_PROMPT, 0, 4], 4), "{text}");
    assert_eq!(entry.ending, Ending::Failed);
}

/// A metered server with a store.
async fn storing(model: MockModel, limits: Limits) -> (World, Handle, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = Database::File(folder.path().join("store.db"));
    let store = Store::open(&file, limits).await.unwrap();
    let (state, handle) = mock(MockEngine::new(LIMITS, model), PlannerConfig::default());
    (World::new(state.store(store), flat()), handle, folder)
}

#[tokio::test]
async fn a_response_in_the_background_is_charged_like_others() {
    let (world, handle, _folder) = storing(endless(), Limits::default()).await;
    let input = json!({"model": "mock", "input": "hello", "background": true,
        "max_output_tokens": 9});
    let answer = world.well("/v1/responses", input.clone()).await;
    let path = format!("/v1/responses/{}", answer["id"].as_str().unwrap());
    let entry = world.last(1).await;
    assert_eq!((tokens(entry.usage)[2], entry.ending), (9, Ending::Finished));
    let mut long = input;
    long["max_output_tokens"] = json!(400);
    until_idle(&handle).await;
    let answer = world.well("/v1/responses", long).await;
    let cancelled = format!("/v1/responses/{}/cancel", answer["id"].as_str().unwrap());
    until_running(&handle, 1).await;
    world.well(&cancelled, Value::Null).await;
    let entry = world.last(2).await;
    assert_eq!(entry.ending, Ending::Cancelled);
    assert!(tokens(entry.usage)[2] < 400);
    let (status, _, text) =
        call(&world.router, Request::get(path).body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    let usage = &serde_json::from_str::<Value>(&text).unwrap()["usage"];
    assert_eq!(usage["output_tokens"], 9);
}

#[tokio::test]
async fn an_answer_that_cannot_be_kept_is_not_charged_unless_it_was_streamed() {
    let limits = Limits { max_object_bytes: 200, ..Limits::default() };
    let (world, _, _folder) = storing(MockModel::scripted("ok", EOS), limits).await;
    let body = json!({"model": "mock", "messages": [{"role": "user", "content": "hello"}],
        "store": true});
    let (status, _, answer) = world.post(CHAT, body.clone()).await;
    assert!(!status.is_success() && answer["error"].is_object(), "{answer}");
    let entry = world.last(1).await;
    assert_eq!((entry.usage, entry.ending), (Usage::NONE, Ending::Dropped));
    let mut streamed = body;
    streamed["stream"] = json!(true);
    let (_, _, text) = call(&world.router, post_request(CHAT, streamed.to_string())).await;
    let said: String = events(&text)
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert!(said == "ok" && text.contains("error"), "{text}");
    // With the end of the sequence.
    assert_eq!(tokens(world.last(2).await.usage)[2], 3);
}
