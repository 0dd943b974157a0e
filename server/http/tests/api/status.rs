//! Models, probes, metrics and the description of the API.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use engine_mock::{MockEngine, MockModel};
use scheduler_batching::{PlannerConfig, Shutdown};
use serde_json::{Value, json};
use server_http::{AppState, Metrics, router};

use crate::common::{EOS, LIMITS, call, get, post, says, served};

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn models_are_listed_and_shown_also_with_a_slash_in_the_id() {
    let metrics = Arc::new(Metrics::new());
    let engine = MockEngine::new(LIMITS, MockModel::default());
    let model = served("org/model", engine, PlannerConfig::default(), &metrics);
    let router = router(AppState::builder().model(model).build());
    let model = json!({"id": "org/model", "object": "model", "created": 1_700_000_000,
        "owned_by": "agentbase", "max_model_len": 512});
    let (status, _, text) = get(&router, "/v1/models/org/model").await;
    assert_eq!((status, parsed(&text)), (StatusCode::OK, model.clone()));
    let (_, _, text) = get(&router, "/v1/models").await;
    assert_eq!(parsed(&text), json!({"object": "list", "data": [model]}));
    let (status, _, text) = get(&router, "/v1/models/other").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(parsed(&text)["error"]["code"], "model_not_found");
    let (status, _, text) = get(&router, "/v1/models/%ff").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(parsed(&text)["error"]["param"], "id");
}

#[tokio::test]
async fn a_model_that_loads_is_not_ready_and_says_when_to_come_back() {
    let metrics = Arc::new(Metrics::new());
    let state = AppState::builder().loading("mock").metrics(Arc::clone(&metrics)).build();
    let router = router(state.clone());
    assert_eq!(get(&router, "/health").await.0, StatusCode::OK);
    let (status, _, text) = get(&router, "/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(parsed(&text), json!({"status": "loading", "pending": ["mock: loading"]}));
    let (status, headers, text) = get(&router, "/v1/models/mock").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(headers["retry-after"], "2");
    assert_eq!(parsed(&text)["error"]["code"], "model_loading");

    state.fail("mock", "out of memory");
    let (_, _, text) = get(&router, "/ready").await;
    let failed = json!({"status": "failed", "pending": ["mock: failed: out of memory"]});
    assert_eq!(parsed(&text), failed);

    let engine = MockEngine::new(LIMITS, MockModel::scripted("now", EOS));
    state.install(served("mock", engine, PlannerConfig::default(), &metrics));
    assert_eq!(get(&router, "/ready").await.0, StatusCode::OK);
    let body = json!({"model": "mock", "prompt": "?"});
    let (status, answer) = post(&router, "/v1/completions", body).await;
    assert_eq!((status, &answer["choices"][0]["text"]), (StatusCode::OK, &json!("now")));
}

#[tokio::test]
async fn a_model_whose_driver_has_ended_is_not_ready() {
    let server = says("");
    assert_eq!(get(&server.router, "/ready").await.0, StatusCode::OK);
    server.handle.shutdown(Shutdown::Abort);
    // The end of a thread comes when it comes; the limit turns a hang into a failure.
    let ended = async {
        while get(&server.router, "/ready").await.0 == StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it ends");
    let (status, headers, text) = get(&server.router, "/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(parsed(&text), json!({"status": "failed", "pending": ["mock: stopped"]}));
    assert_eq!(headers["retry-after"], "2");
    assert_eq!(get(&server.router, "/health").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_well_formed_and_count() {
    let server = says("hello");
    let body = json!({"model": "mock", "prompt": "?"});
    post(&server.router, "/v1/completions", body).await;
    let (status, headers, text) = get(&server.router, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let samples = samples(&text);
    let expected = [
        ("agentbase_requests_running{model=\"mock\"}", 0.0),
        ("agentbase_requests_waiting{model=\"mock\"}", 0.0),
        ("agentbase_prompt_tokens_total{model=\"mock\"}", 2.0),
        ("agentbase_generated_tokens_total{model=\"mock\"}", 6.0),
        ("agentbase_prompt_tokens_cached_total{model=\"mock\"}", 0.0),
        ("agentbase_preemptions_total{model=\"mock\"}", 0.0),
        ("agentbase_requests_total{model=\"mock\",outcome=\"finished\"}", 1.0),
        ("agentbase_time_to_first_token_seconds_count{model=\"mock\"}", 1.0),
        ("agentbase_inter_token_latency_seconds_count{model=\"mock\"}", 5.0),
        (
            "agentbase_http_requests_total\
             {method=\"POST\",route=\"/v1/completions\",status=\"200\"}",
            1.0,
        ),
    ];
    for (name, value) in expected {
        assert_eq!(samples.get(name), Some(&value), "{name} in\n{text}");
    }
    // A second scrape adds nothing of its own.
    let again = self::samples(&get(&server.router, "/metrics").await.2);
    let name = "agentbase_generated_tokens_total{model=\"mock\"}";
    assert_eq!(again[name], samples[name]);
}

#[tokio::test]
async fn guesses_are_counted_and_can_be_refused_by_a_request() {
    let text = "round and round ".repeat(4);
    let server = says(&text);
    let counts = async || {
        let samples = samples(&get(&server.router, "/metrics").await.2);
        ["draft", "accepted_draft"]
            .map(|kind| samples[&format!("agentbase_{kind}_tokens_total{{model=\"mock\"}}")])
    };
    let mut body = json!({"model": "mock", "prompt": "?", "max_tokens": 64, "speculation": false});
    let (_, plain) = post(&server.router, "/v1/completions", body.clone()).await;
    assert_eq!(plain["choices"][0]["text"], text);
    assert_eq!(counts().await, [0.0, 0.0]);
    body["speculation"] = json!(true);
    let (_, drafted) = post(&server.router, "/v1/completions", body).await;
    assert_eq!(drafted["choices"], plain["choices"]);
    assert_eq!(drafted["usage"], plain["usage"]);
    let [drafts, accepted] = counts().await;
    assert!(drafts >= accepted && accepted > 20.0, "{accepted} of {drafts}");
}

/// Samples by name and labels, after checks of the text format's rules.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut kinds = BTreeMap::new();
    let mut samples = BTreeMap::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(name.starts_with("agentbase_"), "{name}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            assert!(kind != "histogram" || name.ends_with("_seconds"), "{name}");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
        } else if !line.starts_with('#') {
            let (key, value) = line.rsplit_once(' ').unwrap();
            let name = key.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s));
            assert!(kinds.contains_key(name) || kinds.contains_key(base.unwrap()), "{line}");
            let value = value.parse().unwrap();
            assert!(samples.insert(key.to_owned(), value).is_none(), "{key} twice");
        }
    }
    samples
}

/// What is served, in order of methods and paths.
const ROUTES: [&str; 57] = [
    "delete /v1/chat/completions/{id}",
    "delete /v1/conversations/{id}",
    "delete /v1/conversations/{id}/items/{item_id}",
    "delete /v1/requests/{id}",
    "delete /v1/responses/{id}",
    "get /docs",
    "get /foundation-models",
    "get /foundation-models/{id}",
    "get /health",
    "get /info",
    "get /metrics",
    "get /openapi.json",
    "get /ready",
    "get /tokenizer_info",
    "get /v1/chat/completions",
    "get /v1/chat/completions/{id}",
    "get /v1/chat/completions/{id}/messages",
    "get /v1/conversations/{id}",
    "get /v1/conversations/{id}/items",
    "get /v1/conversations/{id}/items/{item_id}",
    "get /v1/models",
    "get /v1/models/{id}",
    "get /v1/responses/{id}",
    "get /v1/responses/{id}/input_items",
    "post /classify",
    "post /detokenize",
    "post /embed",
    "post /model/{id}/converse",
    "post /model/{id}/converse-stream",
    "post /model/{id}/count-tokens",
    "post /model/{id}/invoke",
    "post /model/{id}/invoke-with-response-stream",
    "post /predict",
    "post /rerank",
    "post /score",
    "post /similarity",
    "post /tokenize",
    "post /v1/audio/transcriptions",
    "post /v1/audio/translations",
    "post /v1/chat/completions",
    "post /v1/chat/completions/{id}",
    "post /v1/classify",
    "post /v1/completions",
    "post /v1/conversations",
    "post /v1/conversations/{id}",
    "post /v1/conversations/{id}/items",
    "post /v1/embeddings",
    "post /v1/messages",
    "post /v1/messages/count_tokens",
    "post /v1/moderations",
    "post /v1/requests/{id}/cancel",
    "post /v1/rerank",
    "post /v1/responses",
    "post /v1/responses/input_tokens",
    "post /v1/responses/{id}/cancel",
    "post /v1/score",
    "post /v2/rerank",
];

#[tokio::test]
async fn the_description_names_every_route_and_each_is_there() {
    let server = says("");
    let (_, _, text) = get(&server.router, "/openapi.json").await;
    let api = parsed(&text);
    let mut routes = Vec::new();
    for (path, methods) in api["paths"].as_object().unwrap() {
        routes.extend(methods.as_object().unwrap().keys().map(|m| format!("{m} {path}")));
    }
    routes.sort();
    assert_eq!(routes, ROUTES);
    for route in routes {
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace("{id}", "mock");
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let (status, _, text) = call(&server.router, request).await;
        assert!(!text.contains("unknown_url"), "{route}");
        assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{route}");
    }
    let chat = &api["components"]["schemas"]["ChatBody"].to_string();
    assert!(chat.contains("ChatRequest") && chat.contains("GenerationOptions"), "{chat}");
    let operations = api["paths"].as_object().unwrap().values();
    let operations: Vec<&Value> =
        operations.flat_map(|methods| methods.as_object().unwrap().values()).collect();
    let ids: HashSet<_> = operations.iter().map(|op| op["operationId"].as_str()).collect();
    assert_eq!(ids.len(), operations.len());
    for response in operations.iter().flat_map(|op| op["responses"].as_object().unwrap().values()) {
        assert!(!response["description"].as_str().unwrap().is_empty(), "{response}");
    }
    // Every reference leads somewhere.
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(api["components"]["schemas"].get(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn the_page_to_browse_needs_nothing_from_elsewhere() {
    let server = says("");
    let (status, headers, page) = get(&server.router, "/docs").await;
    assert_eq!(status, StatusCode::OK);
    assert!(headers["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(page.contains("fetch(\"openapi.json\")"));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("src="));
}

#[tokio::test]
async fn request_ids_come_back_and_bad_ones_are_replaced() {
    let server = says("");
    let with_id =
        |id: &str| Request::get("/health").header("x-request-id", id).body(Body::empty()).unwrap();
    let (_, headers, _) = call(&server.router, with_id("abc-1")).await;
    assert_eq!(headers["x-request-id"], "abc-1");
    assert!(headers["openai-processing-ms"].to_str().unwrap().parse::<u64>().is_ok());
    for bad in ["a b", &"x".repeat(129), "\"quoted\""] {
        let (_, headers, _) = call(&server.router, with_id(bad)).await;
        assert!(headers["x-request-id"].to_str().unwrap().starts_with("req_"), "{bad}");
    }
}
