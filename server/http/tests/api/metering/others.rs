//! What is no text that is generated: encoders, recordings, images; and what is free.

use axum::http::StatusCode;
use engine_mock::{MockEngine, MockModel, MockSpeech};
use scheduler_batching::PlannerConfig;
use serde_json::json;
use server_http::{AppState, Metrics};
use server_metering::{Budget, Ending, Level, Limits, Meter, Micros, Period, Usage};
use tower::ServiceExt;

use super::{TOKEN, World, mock, prices};
use crate::audio::{self, TRANSCRIPTIONS, form, wav, wav_of};
use crate::common::{LIMITS, call};
use crate::encoding;
use crate::images;

pub(super) fn encoders() -> World {
    World::new(encoding::builder(), prices(&["emb", "rank"], [None, None, None, Some(TOKEN)]))
}

#[tokio::test]
async fn encoders_are_charged_by_the_tokens_that_they_tell() {
    let world = encoders();
    let cases = [
        ("/v1/embeddings", json!({"model": "emb", "input": ["w1 w2", "w3"]}), Some(7)),
        (
            "/v1/rerank",
            json!({"model": "rank", "query": "w1", "documents": ["w2", "w3 w4"]}),
            Some(11),
        ),
        ("/rerank", json!({"model": "rank", "query": "w1", "texts": ["w2"]}), None),
        ("/score", json!({"model": "rank", "text_1": "w1", "text_2": "w2"}), Some(5)),
        ("/classify", json!({"model": "rank", "input": "w1 w2"}), Some(4)),
        ("/embed", json!({"inputs": "w1"}), None),
        ("/predict", json!({"model": "rank", "inputs": "w1"}), None),
        // One request, whatever it is made of.
        (
            "/similarity",
            json!({"inputs": {"source_sentence": "w1", "sentences": ["w2", "w3"]}}),
            None,
        ),
    ];
    let untold = [5, 3, 3, 9];
    let mut untold = untold.into_iter();
    for (idx, (path, body, num)) in cases.into_iter().enumerate() {
        let answer = world.well(path, body).await;
        let entry = world.last(idx + 1).await;
        let num = num.unwrap_or_else(|| untold.next().unwrap());
        assert_eq!(entry.usage, Usage::NONE.with(Meter::EmbeddingTokens, num), "{path} {answer}");
        assert_eq!(entry.ending, Ending::Finished);
        if let Some(told) = answer["usage"]["total_tokens"].as_u64() {
            assert_eq!(told, num);
        }
        assert_eq!(entry.cost.get(), i128::from(num) * i128::from(TOKEN));
    }
}

#[tokio::test]
async fn a_budget_and_rates_hold_for_encoders_in_their_shapes() {
    let world = encoders();
    let budget = Budget { period: Period::Total, amount: Micros::new(10) };
    let limits =
        Limits { budgets: vec![budget], input_tokens_per_minute: Some(600), ..Limits::default() };
    world.limit(Level::Organization, limits);
    let ask = json!({"model": "emb", "input": ["w1 w2", "w3"]});
    let (_, headers, _) = world.post("/v1/embeddings", ask.clone()).await;
    assert_eq!(headers["x-ratelimit-remaining-tokens"], "593");
    let (status, headers, answer) = world.post("/v1/embeddings", ask).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer["error"]["type"], "insufficient_quota");
    assert_eq!(headers["x-ratelimit-remaining-tokens"], "593");
    let (status, _, answer) = world.post("/embed", json!({"inputs": ["w1 w2", "w3"]})).await;
    assert_eq!(
        (status, &answer["error_type"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("Overloaded"))
    );
    assert_eq!(world.entries(1).await.len(), 1);
}

fn millis(num: u64) -> Usage {
    Usage::NONE.with(Meter::AudioMillis, num)
}

pub(super) fn listening(speech: MockSpeech) -> World {
    let metrics = std::sync::Arc::new(Metrics::new());
    let state = AppState::builder().model(audio::model("ears", speech, &metrics)).metrics(metrics);
    World::new(state, prices(&["ears"], [None, None, None, Some(TOKEN)]))
}

#[tokio::test]
async fn a_recording_is_charged_by_its_milliseconds() {
    let world = listening(MockSpeech::new(&["en"]));
    let mut file = vec![16_000_i16; 16_001];
    for (idx, more) in [&[][..], &[("stream", "true")][..]].into_iter().enumerate() {
        let fields = [&[("model", "ears")], more].concat();
        let request = form(TRANSCRIPTIONS, Some(&wav_of(&file)), &fields);
        let (status, _, text) = call(&world.router, request).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        // A sample more than a second is a millisecond more.
        let entry = world.last(idx + 1).await;
        assert_eq!((entry.usage, entry.ending), (millis(1001), Ending::Finished));
    }
    world.budget(1000);
    file.truncate(16_000);
    let request = form(TRANSCRIPTIONS, Some(&wav_of(&file)), &[("model", "ears")]);
    let (status, _, text) = call(&world.router, request).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{text}");
    assert!(text.contains("insufficient_quota"));
    assert_eq!(world.entries(2).await.len(), 2);
}

#[tokio::test]
async fn who_goes_away_from_a_recording_pays_if_anything_of_it_was_heard() {
    let world = listening(audio::slow());
    let letters = "a".repeat(65);
    let ask = |fields: &[(&str, &str)]| {
        let fields = [&[("model", "ears")], fields].concat();
        form(TRANSCRIPTIONS, Some(&wav(&letters)), &fields)
    };
    let response = world.router.clone().oneshot(ask(&[("stream", "true")])).await.unwrap();
    let mut pieces = response.into_body().into_data_stream();
    let first = futures_util::StreamExt::next(&mut pieces).await.unwrap().unwrap();
    assert!(first.starts_with(b"data: "));
    drop(pieces);
    let entry = world.last(1).await;
    assert_eq!((entry.usage, entry.ending), (millis(65_000), Ending::Dropped));
    // Nothing of it was heard yet.
    let response = world.router.clone().oneshot(ask(&[("stream", "true")])).await.unwrap();
    drop(response);
    let entry = world.last(2).await;
    assert_eq!((entry.usage, entry.ending), (Usage::NONE, Ending::Dropped));
}

#[tokio::test]
async fn images_are_counted_beside_the_tokens_that_they_become() {
    let world =
        World::new(images::builder().0, prices(&["mock"], [Some(1), None, Some(1), Some(7)]));
    let image =
        |bytes: &str| json!({"type": "image_url", "image_url": {"url": images::data_url(bytes)}});
    let content = json!([image("image:2:a"), {"type": "text", "text": "and"}, image("image:3:b")]);
    let messages = json!([{"role": "user", "content": content}]);
    let body = json!({"model": "mock", "max_tokens": 4, "messages": messages});
    let answer = world.well(super::CHAT, body).await;
    let entry = world.last(1).await;
    assert_eq!(super::tokens(entry.usage), super::told(&answer["usage"]));
    assert_eq!(entry.usage.get(Meter::Images), 2);
    let total = answer["usage"]["total_tokens"].as_i64().unwrap();
    assert_eq!(entry.cost.get(), i128::from(total + 14));
}

#[tokio::test]
async fn counting_is_free_and_needs_no_permit() {
    let (state, _) = mock(MockEngine::new(LIMITS, MockModel::default()), PlannerConfig::default());
    let world = World::new(state, super::flat());
    world.budget(0);
    let chat = json!({"model": "mock", "messages": [{"role": "user", "content": "hello"}]});
    for (path, body) in [
        ("/tokenize", json!({"model": "mock", "prompt": "hello"})),
        ("/detokenize", json!({"model": "mock", "tokens": [104]})),
        ("/v1/messages/count_tokens", chat.clone()),
        ("/v1/responses/input_tokens", json!({"model": "mock", "input": "hello"})),
    ] {
        world.well(path, body).await;
    }
    assert_eq!(world.post(super::CHAT, chat).await.0, StatusCode::TOO_MANY_REQUESTS);
    let list = axum::http::Request::get("/v1/models").body(axum::body::Body::empty()).unwrap();
    let (status, headers, _) = call(&world.router, list).await;
    assert_eq!(status, StatusCode::OK);
    assert!(headers.keys().all(|name| !name.as_str().contains("ratelimit")));
    assert!(world.entries(0).await.is_empty());
}
