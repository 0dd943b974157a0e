//! What ends early, waits or fails: full queues, clients that go away, cancels, deadlines, guards.

use std::time::Duration;

use axum::http::Method;
use engine_mock::Fault;
use scheduler_batching::{Amount, Shutdown};
use serde_json::{Value, json};
use server_guard::{Action, DenyList, Guard, Guards};

use super::*;
use crate::common::get;

const PATH: &str = "/v1/embeddings";

fn many() -> Value {
    json!({"model": "enc", "input": vec!["w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12"; 2000]})
}

fn one() -> Value {
    json!({"model": "enc", "input": "w1"})
}

/// Asks in the background.
fn start(router: &Router, body: Value, id: &str) -> tokio::task::JoinHandle<(u16, Value)> {
    let mut request = post_request(PATH, body.to_string());
    request.headers_mut().insert("x-request-id", id.parse().unwrap());
    let router = router.clone();
    tokio::spawn(async move {
        let (status, _, text) = call(&router, request).await;
        (status.as_u16(), serde_json::from_str(&text).unwrap())
    })
}

#[tokio::test]
async fn a_client_that_goes_away_frees_the_queue() {
    let (router, handle) = alone(Encoding::slow(embedder()));
    let asked = start(&router, many(), "a");
    until(&handle, |running, _| running == 1).await;
    asked.abort();
    until(&handle, |running, waiting| (running, waiting) == (0, 0)).await;
    assert!(handle.stats().prompt_tokens < 2000 * 14, "it was cut");
    well(&router, PATH, one()).await;
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let few = Amount { inputs: 2, tokens: 1000 };
    let config = EncodingConfig { max_waiting: few, max_waiting_per_tenant: few, retry_after_s: 7 };
    let (router, handle) = alone(Encoding { config, ..Encoding::slow(embedder()) });
    let asked = start(&router, many(), "a");
    until(&handle, |running, _| running == 1).await;
    let (status, headers, text) = call(&router, post_request(PATH, one().to_string())).await;
    assert_eq!(
        (status, &headers["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"7".parse().unwrap())
    );
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["error"]["code"], "queue_full");
    let body = json!({"inputs": "w1"}).to_string();
    let (status, headers, text) = call(&router, post_request("/embed", body)).await;
    assert_eq!(
        (status, &headers["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"7".parse().unwrap())
    );
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["error_type"], "Overloaded");
    asked.abort();
    until(&handle, |running, _| running == 0).await;
    well(&router, PATH, one()).await;
}

#[tokio::test]
async fn a_request_is_cancelled_by_its_id_and_by_its_time() {
    let (router, handle) = alone(Encoding::slow(embedder()));
    let asked = start(&router, many(), "mine");
    until(&handle, |running, _| running == 1).await;
    let cancel = axum::http::Request::builder().method(Method::POST);
    let cancel = cancel.uri("/v1/requests/mine/cancel").body(axum::body::Body::empty()).unwrap();
    assert_eq!(call(&router, cancel).await.0, StatusCode::OK);
    let (status, answer) = asked.await.unwrap();
    assert_eq!((status, &answer["error"]["code"]), (499, &json!("request_cancelled")));
    until(&handle, |running, waiting| (running, waiting) == (0, 0)).await;

    let mut request = post_request(PATH, many().to_string());
    request.headers_mut().insert("x-request-timeout", "0.1".parse().unwrap());
    let (status, _, text) = call(&router, request).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT, "{text}");
    assert!(text.contains("its own time of 0.1 s"), "{text}");
    until(&handle, |running, waiting| (running, waiting) == (0, 0)).await;
}

#[tokio::test]
async fn an_encoder_that_fails_is_an_error_of_the_servers_and_it_goes_on() {
    for fault in [Fault::Error("secret".into()), Fault::Panic] {
        let metrics = Arc::new(Metrics::new());
        let encoder = Box::new(MockEncoder::new(embedder()).with_fault(0, fault));
        let (handle, _driver) =
            spawn_encoder(encoder, EncodingConfig::default(), metrics.observer("enc"));
        let model = Encoding::new(embedder()).serve("enc", &metrics);
        let model = ServedEncoder { handle, ..model };
        let router = router(AppState::builder().model(model).build());
        let (status, answer) = ask(&router, PATH, one()).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!answer.to_string().contains("secret"), "{answer}");
        well(&router, PATH, one()).await;
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_is_not_ready() {
    let (router, handle) = alone(Encoding::new(embedder()));
    assert_eq!(get(&router, "/ready").await.0, StatusCode::OK);
    handle.shutdown(Shutdown::Abort);
    let (status, answer) = ask(&router, PATH, one()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["error"]["code"], "shutting_down");
    let ended = async {
        while get(&router, "/ready").await.0 == StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it ends");
}

#[tokio::test]
async fn the_same_key_gets_the_first_answer_again() {
    let (router, handle) = alone(Encoding::new(embedder()));
    let send = || {
        let mut request = post_request(PATH, one().to_string());
        request.headers_mut().insert("idempotency-key", "k".parse().unwrap());
        call(&router, request)
    };
    let (_, _, first) = send().await;
    let (_, headers, again) = send().await;
    assert_eq!((first, &headers["idempotent-replayed"]), (again, &"true".parse().unwrap()));
    assert_eq!(handle.stats().steps, 1);
}

#[tokio::test]
async fn metrics_count_an_encoders_work() {
    let (router, _) = alone(Encoding::new(embedder()));
    well(&router, PATH, json!({"model": "enc", "input": ["w1", "w2 w3"]})).await;
    let (_, _, text) = get(&router, "/metrics").await;
    for line in [
        "agentbase_prompt_tokens_total{model=\"enc\"} 7",
        "agentbase_engine_steps_total{model=\"enc\"} 1",
        "agentbase_requests_total{model=\"enc\",outcome=\"finished\"} 1",
        "agentbase_queue_wait_seconds_count{model=\"enc\"} 1",
        "agentbase_engine_step_seconds_count{model=\"enc\"} 1",
        "agentbase_request_duration_seconds_count{model=\"enc\"} 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn a_server_that_denies_words_denies_them_to_encoders() {
    let list: Arc<dyn Guard> = Arc::new(DenyList::parse("w13", Action::Stop).unwrap());
    let guards = Guards { input: vec![list], output: Vec::new() };
    let router = router(builder().guards(guards).build());
    for (path, body, expected) in [
        (PATH, json!({"model": "emb", "input": ["w1", "w13"]}), "input[1]"),
        (PATH, json!({"model": "emb", "input": [[4], [16]]}), "input[1]"),
        ("/v1/rerank", json!({"model": "rank", "query": "w13", "documents": ["w1"]}), "query"),
        ("/v1/rerank", json!({"model": "rank", "query": "w1", "documents": ["w13"]}), "documents"),
        ("/score", json!({"model": "rank", "text_1": "w1", "text_2": ["w1", "w13"]}), "text_2[1]"),
    ] {
        let (param, message) = bad(&router, path, body).await;
        assert_eq!(param, expected, "{message}");
        assert!(message.contains("content policy"), "{message}");
    }
}
