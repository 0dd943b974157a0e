//! What is charged of requests that come to their end: as much as their clients are told.

use engine_mock::MockModel;
use serde_json::{Value, json};
use server_guard::{Action, DenyList, Guards};
use server_metering::{Ending, Meter, ModelId, Tier, Validity};

use super::{CHAT, PLAIN, TOKEN, World, events, mock, prices, tokens, told, world};
use crate::common::{EOS, LIMITS, call, post_request};

const SAID: &str = "One two three four five.";

fn chat(more: Value) -> Value {
    let messages = json!([{"role": "user", "content": "a prompt of more than one block, so \
        that a part of it can be found in the cache the next time it comes along"}]);
    let mut body = json!({"model": "mock", "messages": messages});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn what_a_cache_had_is_charged_apart_and_by_its_own_price() {
    let engine = engine_mock::MockEngine::new(
        engine_core::EngineLimits { max_model_len: 2048, ..LIMITS },
        MockModel::scripted(SAID, EOS),
    );
    let (state, _) = mock(engine, scheduler_batching::PlannerConfig::default());
    let world = World::new(state, prices(&["mock"], [Some(20), Some(3), Some(500), None]));
    for num in 1..=2 {
        let answer = world.well(CHAT, chat(json!({}))).await;
        let [input, cached, output] = told(&answer["usage"]);
        assert_eq!(cached > 0, num == 2, "{answer}");
        let entry = world.last(num).await;
        assert_eq!(
            (tokens(entry.usage), entry.ending),
            ([input, cached, output], Ending::Finished)
        );
        assert_eq!(entry.cost.get(), i128::from(input * 20 + cached * 3 + output * 500));
    }
    // Also of a stream that nobody reads to its end.
    let more = chat(json!({"stream": true})).to_string();
    let response = tower::ServiceExt::oneshot(world.router.clone(), post_request(CHAT, more));
    let mut body = response.await.unwrap().into_body().into_data_stream();
    futures_util::StreamExt::next(&mut body).await.unwrap().unwrap();
    drop(body);
    assert!(tokens(world.last(3).await.usage)[1] > 0);
}

#[tokio::test]
async fn choices_prompts_stops_tools_and_guards_are_charged_as_told() {
    let say = "I look. <tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>";
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let cases = [
        (SAID, CHAT, chat(json!({"n": 3}))),
        (SAID, CHAT, chat(json!({"stop": ["three"]}))),
        (SAID, CHAT, chat(json!({"n": 2, "stop": ["ree f"], "logprobs": true}))),
        (SAID, PLAIN, json!({"model": "mock", "prompt": ["a", "bc", "def"], "n": 2})),
        (SAID, PLAIN, json!({"model": "mock", "prompt": "a", "echo": true, "logprobs": 1})),
        (SAID, PLAIN, json!({"model": "mock", "prompt": "a", "echo": true, "max_tokens": 0})),
        (say, CHAT, chat(json!({"tools": tools, "n": 2}))),
        ("Not a bad cat at all.", CHAT, chat(json!({"n": 2}))),
    ];
    for (say, path, body) in cases {
        let deny = DenyList::parse("bad cat", Action::Stop).unwrap();
        let guards = Guards { input: Vec::new(), output: vec![std::sync::Arc::new(deny)] };
        let engine = engine_mock::MockEngine::new(LIMITS, MockModel::scripted(say, EOS));
        let (state, _) = mock(engine, scheduler_batching::PlannerConfig::default());
        let world = World::new(state.guards(guards), super::flat());
        let answer = world.well(path, body.clone()).await;
        let entry = world.last(1).await;
        assert_eq!(tokens(entry.usage), told(&answer["usage"]), "{body}");
        let mut body = body;
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        let (_, _, text) = call(&world.router, post_request(path, body.to_string())).await;
        let usage = events(&text).pop().unwrap()["usage"].clone();
        let entry = world.last(2).await;
        assert_eq!((tokens(entry.usage), entry.ending), (told(&usage), Ending::Finished), "{body}");
        assert_eq!(told(&usage)[2], told(&answer["usage"])[2]);
    }
}

#[tokio::test]
async fn a_class_is_a_tier_and_who_pays_is_the_key() {
    let engine = engine_mock::MockEngine::new(LIMITS, MockModel::scripted("ok", EOS));
    let (state, _) = mock(engine, scheduler_batching::PlannerConfig::default());
    let mut book = super::flat();
    let exact = ModelId::new("mock@0123456789ab").unwrap();
    let dear = server_metering::Price::per_million(server_metering::Micros::new(9 * TOKEN));
    let dear = server_metering::Prices::new(server_metering::Period::Month)
        .with(Meter::OutputTokens, server_metering::Tariff::flat(dear.unwrap()));
    book.add(&exact, &Tier::new("priority").unwrap(), Validity::ALWAYS, dear).unwrap();
    let world = World::new(state, book);
    let ask = |more: Value| {
        let mut body = json!({"model": "mock", "prompt": "a", "max_tokens": 2});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let cases = [
        (json!({}), "standard", 4),
        (json!({"service_tier": "flex"}), "flex", 4),
        (json!({"service_tier": "priority"}), "priority", 18),
        (json!({"priority": -1}), "priority", 18),
    ];
    for (idx, (more, tier, micros)) in cases.into_iter().enumerate() {
        let request = super::request(PLAIN, "acme/web/k1", &ask(more));
        assert_eq!(call(&world.router, request).await.0, 200);
        let entry = world.last(idx + 1).await;
        assert_eq!(
            (entry.opened.tier.as_str(), entry.cost.get()),
            (tier, micros * i128::from(TOKEN))
        );
        assert_eq!(
            (&entry.opened.model, &entry.opened.path),
            (&exact, &super::path("acme", "web", "k1"))
        );
    }
    let ids: std::collections::HashSet<_> =
        world.entries(4).await.into_iter().map(|entry| entry.opened.request).collect();
    assert!(ids.len() == 4 && ids.iter().all(|id| id.as_str().starts_with("req_")));
}

#[tokio::test]
async fn responses_and_messages_are_charged_as_told() {
    let (world, _) = world(MockModel::scripted(SAID, EOS));
    let input = json!({"model": "mock", "input": "hello", "max_output_tokens": 9});
    let answer = world.well("/v1/responses", input).await;
    let usage = &answer["usage"];
    let [input, cached, output] = tokens(world.last(1).await.usage);
    assert_eq!(usage["input_tokens"], input + cached);
    assert_eq!(
        (&usage["input_tokens_details"]["cached_tokens"], &usage["output_tokens"]),
        (&json!(cached), &json!(output))
    );
    let answer = world.well("/v1/messages", chat(json!({"max_tokens": 9}))).await;
    let usage = &answer["usage"];
    let told = ["input_tokens", "cache_read_input_tokens", "output_tokens"];
    let told = told.map(|name| usage[name].as_u64().unwrap());
    assert_eq!(tokens(world.last(2).await.usage), told);
}

#[tokio::test]
async fn an_adapter_is_a_model_of_its_own_by_its_own_version() {
    let (state, fake, _) = crate::adapters::builder();
    fake.add("fr", crate::adapters::VERSION);
    let world = World::new(state, prices(&["mock:fr"], [Some(7), None, Some(7), None]));
    for (idx, (model, version, is_priced)) in
        [("mock:fr", "mock:fr@fr56789abcde", true), ("mock", "mock@0123456789ab", false)]
            .into_iter()
            .enumerate()
    {
        let body = json!({"model": model, "prompt": "a", "max_tokens": 2});
        world.well(PLAIN, body).await;
        let entry = world.last(idx + 1).await;
        assert_eq!((entry.opened.model.as_str(), entry.cost.get() > 0), (version, is_priced));
    }
}
