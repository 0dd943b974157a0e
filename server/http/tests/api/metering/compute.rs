//! An engine's time: charged with what is charged otherwise, and no more of it than was held.
//!
//! The meters' clock is an hour ahead of the engine's, so all of them took longer than they may.

use std::time::Duration;

use axum::http::StatusCode;
use engine_mock::{MockModel, MockSpeech};
use serde_json::json;
use server_metering::{Ending, Meter, Usage};

use super::others::{encoders, listening};
use super::{CHAT, World, tokens, world};
use crate::audio::{TRANSCRIPTIONS, form, wav};
use crate::common::{EOS, call, post_request};

const HOUR: Duration = Duration::from_secs(3_600);
/// Where no shorter time limit is set.
const MOST: u64 = 600_000;

async fn millis(world: &World, num: usize) -> u64 {
    let entry = world.last(num).await;
    assert_eq!(entry.ending, Ending::Finished);
    entry.usage.get(Meter::ComputeMillis)
}

#[tokio::test]
async fn an_answer_is_charged_the_time_that_it_was_computed_and_its_limit_at_most() {
    let (world, _handle) = world(MockModel::scripted("One two three.", EOS));
    world.pass(HOUR);
    let mut num = 0;
    for is_streamed in [false, true] {
        for (timeout, expected) in [(json!(null), MOST), (json!(90), 90_000)] {
            let messages = json!([{"role": "user", "content": "hello"}]);
            let mut body = json!({"model": "mock", "messages": messages, "stream": is_streamed});
            if !timeout.is_null() {
                body["timeout"] = timeout;
            }
            let (status, _, text) = call(&world.router, post_request(CHAT, body.to_string())).await;
            assert_eq!(status, StatusCode::OK, "{text}");
            num += 1;
            assert_eq!(millis(&world, num).await, expected, "{body}");
        }
    }
    assert!(tokens(world.last(num).await.usage).iter().sum::<u64>() > 0);
}

#[tokio::test]
async fn what_encoders_read_and_recordings_are_charged_it_too() {
    let world = encoders();
    world.pass(HOUR);
    world.well("/v1/embeddings", json!({"model": "emb", "input": ["w1 w2", "w3"]})).await;
    assert_eq!(millis(&world, 1).await, MOST);
    let world = listening(MockSpeech::new(&["en"]));
    world.pass(HOUR);
    let request = form(TRANSCRIPTIONS, Some(&wav("abc")), &[("model", "ears")]);
    let (status, _, text) = call(&world.router, request).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert_eq!(millis(&world, 1).await, MOST);
}

#[tokio::test]
async fn what_is_charged_nothing_is_charged_no_time() {
    let world = listening(crate::audio::slow());
    world.pass(HOUR);
    let fields = [("model", "ears"), ("stream", "true")];
    let ask = form(TRANSCRIPTIONS, Some(&wav(&"a".repeat(65))), &fields);
    drop(tower::ServiceExt::oneshot(world.router.clone(), ask).await.unwrap());
    assert_eq!(world.last(1).await.usage, Usage::NONE);
}
