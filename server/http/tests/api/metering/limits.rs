//! Who is not let in: each reason's shape in each API, and what heads say of rates.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use engine_core::EngineLimits;
use engine_mock::{MockEngine, MockModel};
use scheduler_batching::PlannerConfig;
use serde_json::{Value, json};
use server_metering::{
    Durability, JournalOptions, Level, Limits, Meter, Period, PriceBook, Quota, Usage,
};

use super::{CHAT, PLAIN, World, flat, mock, tokens, world};
use crate::common::{EOS, LIMITS, call, endless, get, post_request, until_running};

fn chat(more: Value) -> Value {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let mut body = json!({"model": "mock", "messages": messages, "max_tokens": 4});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

fn rates(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let of_rates = headers.iter().filter(|(name, _)| name.as_str().contains("ratelimit"));
    of_rates.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

#[tokio::test]
async fn heads_say_how_rates_stand_and_of_no_others() {
    let (world, _) = world(MockModel::scripted("hello", EOS));
    let (_, headers, _) = world.post(CHAT, chat(json!({}))).await;
    assert_eq!(rates(&headers), []);
    let limits = Limits {
        requests_per_minute: Some(60),
        input_tokens_per_minute: Some(6000),
        ..Limits::default()
    };
    world.limit(Level::Project, limits);
    let (_, headers, answer) = world.post(CHAT, chat(json!({}))).await;
    let num_prompt = answer["usage"]["prompt_tokens"].as_u64().unwrap();
    let left = (6000 - num_prompt).to_string();
    let reset = format!("{}ms", num_prompt * 10);
    for (name, value) in [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-limit-tokens", "6000"),
        ("x-ratelimit-remaining-tokens", &left),
        ("x-ratelimit-reset-tokens", &reset),
        ("x-ratelimit-limit-input-tokens", "6000"),
        ("x-ratelimit-remaining-input-tokens", &left),
    ] {
        assert_eq!(header(&headers, name), Some(value), "{name}");
    }
    assert!(!rates(&headers).iter().any(|(name, _)| name.contains("output")));
    // A stream's head says it too, and Anthropic's clients are told by their names.
    let stream = chat(json!({"stream": true}));
    let (status, headers, _) = call(&world.router, post_request(CHAT, stream.to_string())).await;
    assert_eq!(
        (status, header(&headers, "x-ratelimit-remaining-requests")),
        (StatusCode::OK, Some("58"))
    );
    assert_eq!(header(&headers, "anthropic-ratelimit-requests-limit"), None);
    let (_, headers, _) = world.post("/v1/messages", chat(json!({}))).await;
    assert_eq!(header(&headers, "x-ratelimit-remaining-requests"), Some("57"));
    assert_eq!(header(&headers, "anthropic-ratelimit-requests-remaining"), Some("57"));
    let reset = header(&headers, "anthropic-ratelimit-input-tokens-reset").unwrap();
    assert!(reset.starts_with("20") && reset.ends_with('Z'), "{reset}");
    // What is not metered says nothing.
    let (_, headers, _) =
        world.post("/tokenize", json!({"model": "mock", "prompt": "hello"})).await;
    assert_eq!(rates(&headers), []);
    assert_eq!(world.entries(4).await.len(), 4);
}

#[tokio::test]
async fn a_rate_is_429_with_the_time_to_wait_in_each_apis_shape() {
    let (world, _) = world(MockModel::scripted("hello", EOS));
    world.limit(Level::Key, Limits { requests_per_minute: Some(2), ..Limits::default() });
    for _ in 0..2 {
        world.well(CHAT, chat(json!({}))).await;
    }
    let (status, headers, answer) = world.post(CHAT, chat(json!({}))).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    let message = answer["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("The key's rate is 2 requests a minute"), "{message}");
    let error = json!({"error": {"message": message, "type": "requests", "param": null,
        "code": "rate_limit_exceeded"}});
    assert_eq!(answer, error);
    for (name, value) in [
        ("retry-after", Some("30")),
        ("x-should-retry", None),
        ("x-ratelimit-limit-requests", Some("2")),
        ("x-ratelimit-remaining-requests", Some("0")),
        ("x-ratelimit-reset-requests", Some("1m0s")),
    ] {
        assert_eq!(header(&headers, name), value, "{name}");
    }
    let (status, headers, answer) = world.post("/v1/messages", chat(json!({}))).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer["error"]["type"], "rate_limit_error");
    assert_eq!(header(&headers, "retry-after"), Some("30"));
    assert_eq!(header(&headers, "anthropic-ratelimit-requests-remaining"), Some("0"));
    let converse = json!({"messages": [{"role": "user", "content": [{"text": "hello"}]}]});
    let (status, headers, _) = world.post("/model/mock/converse", converse).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&headers, "x-amzn-errortype"), Some("ThrottlingException"));
    world.pass(Duration::from_secs(30));
    world.well(CHAT, chat(json!({}))).await;
    assert_eq!(world.entries(3).await.len(), 3);
    let (_, _, text) = get(&world.router, "/metrics").await;
    let line = "agentbase_metering_refusals_total{level=\"key\",reason=\"request_rate\"} 3";
    assert!(text.contains(line), "{text}");
}

#[tokio::test]
async fn rates_of_tokens_and_of_running_requests_have_their_types() {
    let (world, handle) = world(endless());
    let error = async |limits: Limits| {
        world.limit(Level::Organization, limits);
        let (status, headers, answer) = world
            .post(
                PLAIN,
                json!({"model": "mock",
            "prompt": "hello", "max_tokens": 4}),
            )
            .await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer["error"]["code"], "rate_limit_exceeded");
        let kind = answer["error"]["type"].as_str().unwrap().to_owned();
        (kind, header(&headers, "retry-after").map(str::to_owned))
    };
    // No time lets so much in at once.
    let input = Limits { input_tokens_per_minute: Some(3), ..Limits::default() };
    assert_eq!(error(input).await, ("tokens".to_owned(), None));
    world.limit(Level::Organization, Limits::default());
    let body = json!({"model": "mock", "prompt": "hello", "max_tokens": 400});
    let running = tokio::spawn({
        let router = world.router.clone();
        async move { call(&router, post_request(PLAIN, body.to_string())).await }
    });
    until_running(&handle, 1).await;
    let one = Limits { concurrent_requests: Some(1), ..Limits::default() };
    assert_eq!(error(one).await, ("requests".to_owned(), Some("1".to_owned())));
    running.abort();
    assert_eq!(tokens(world.last(1).await.usage)[2], 0);
    world.limit(Level::Organization, Limits::default());
}

#[tokio::test]
async fn quotas_and_budgets_are_insufficient_quota_and_not_to_be_tried_again() {
    let (world, _) = world(MockModel::scripted("hello", EOS));
    let quota = Quota { meter: Meter::InputTokens, period: Period::Day, units: 3 };
    let cases = [Limits { quotas: vec![quota], ..Limits::default() }, {
        let amount = server_metering::Micros::new(3);
        let budget = server_metering::Budget { period: Period::Month, amount };
        Limits { budgets: vec![budget], ..Limits::default() }
    }];
    for limits in cases {
        world.limit(Level::Project, limits);
        let (status, headers, answer) = world.post(CHAT, chat(json!({"stream": true}))).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{answer}");
        let error = &answer["error"];
        let named = (&error["type"], &error["code"], &error["param"]);
        let quota = json!("insufficient_quota");
        assert_eq!(named, (&quota, &quota, &Value::Null));
        assert!(error["message"].as_str().unwrap().starts_with("The project's"), "{error}");
        assert_eq!(header(&headers, "retry-after"), None);
        assert_eq!(header(&headers, "x-should-retry"), Some("false"));
    }
    let converse = json!({"messages": [{"role": "user", "content": [{"text": "hello"}]}]});
    let (status, headers, _) = world.post("/model/mock/converse", converse).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(header(&headers, "x-amzn-errortype"), Some("ServiceQuotaExceededException"));
    let (_, _, text) = get(&world.router, "/metrics").await;
    for (reason, num) in [("quota", 1), ("budget", 2)] {
        let line = format!("{{level=\"project\",reason=\"{reason}\"}} {num}");
        assert!(text.contains(&line), "{text}");
    }
    assert!(world.entries(0).await.is_empty());
}

#[tokio::test]
async fn a_budget_and_no_price_is_403_and_a_journal_that_is_full_503() {
    let engine = || {
        let limits = EngineLimits { max_model_len: 2048, ..LIMITS };
        MockEngine::new(limits, MockModel::scripted("hello", EOS))
    };
    let (state, _) = mock(engine(), PlannerConfig::default());
    let world = World::new(state, PriceBook::default());
    world.well(CHAT, chat(json!({}))).await;
    world.budget(1000);
    let (status, _, answer) = world.post(CHAT, chat(json!({}))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(answer["error"]["code"], "model_not_priced");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("mock@0123456789ab has no price in the tier standard"));

    let (state, _) = mock(engine(), PlannerConfig::default());
    let options = JournalOptions { max_bytes: 0, ..JournalOptions::default() };
    let world = World::with(state, flat(), options);
    let (status, headers, answer) = world.post(CHAT, chat(json!({}))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert_eq!(answer["error"]["code"], "usage_not_recorded");
    assert_eq!(header(&headers, "retry-after"), Some("1"));
    let (_, _, text) = get(&world.router, "/metrics").await;
    assert!(text.contains("{level=\"none\",reason=\"journal\"} 1"), "{text}");
}

#[tokio::test]
async fn where_the_disk_is_waited_for_it_is_the_same() {
    let limits = EngineLimits { max_model_len: 2048, ..LIMITS };
    let engine = MockEngine::new(limits, MockModel::scripted("hello", EOS));
    let (state, _) = mock(engine, PlannerConfig::default());
    let options = JournalOptions { durability: Durability::BeforeAck, ..JournalOptions::default() };
    let world = World::with(state, flat(), options);
    world.limit(Level::Key, Limits { requests_per_minute: Some(2), ..Limits::default() });
    let answer = world.well(CHAT, chat(json!({}))).await;
    assert_eq!(tokens(world.last(1).await.usage), super::told(&answer["usage"]));
    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    let (_, _, text) = call(&world.router, post_request(CHAT, chat(more).to_string())).await;
    let events = super::events(&text);
    assert_eq!(tokens(world.last(2).await.usage), super::told(&events.last().unwrap()["usage"]));
    assert_eq!(world.post(CHAT, chat(json!({}))).await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_ne!(world.last(2).await.usage, Usage::NONE);
}

#[tokio::test]
async fn a_server_that_cannot_record_usage_is_not_ready_until_it_can() {
    let limits = EngineLimits { max_model_len: 2048, ..LIMITS };
    let engine = MockEngine::new(limits, MockModel::scripted("hello", EOS));
    let (state, _) = mock(engine, PlannerConfig::default());
    let options = JournalOptions { max_bytes: 64 << 10, ..JournalOptions::default() };
    let world = World::with(state, flat(), options);
    assert_eq!(get(&world.router, "/ready").await.0, StatusCode::OK);
    // No more segments can be made, as on a full disk; this one has room for some requests.
    let folder = world.dir.path();
    let others: Vec<_> = (1..500).map(|num| folder.join(format!("{num:020}.journal"))).collect();
    others.iter().for_each(|other| std::fs::create_dir(other).unwrap());
    let mut status = StatusCode::OK;
    for _ in 0..1000 {
        status = world.post(CHAT, chat(json!({}))).await.0;
        if status != StatusCode::OK {
            break;
        }
    }
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let (status, headers, text) = get(&world.router, "/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    assert!(text.contains("see that the journal's disk works and has room"), "{text}");
    assert!(!text.contains(&*folder.to_string_lossy()), "{text}");
    assert!(header(&headers, "retry-after").is_some());
    assert_eq!(get(&world.router, "/health").await.0, StatusCode::OK);
    others.iter().for_each(|other| std::fs::remove_dir(other).unwrap());
    assert_eq!(get(&world.router, "/ready").await.0, StatusCode::OK);
    world.well(CHAT, chat(json!({}))).await;
}
