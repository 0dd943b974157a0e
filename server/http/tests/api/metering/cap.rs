//! Budgets and quotas that pay for less output than was asked for.

use axum::http::StatusCode;
use engine_mock::MockModel;
use serde_json::{Value, json};
use server_metering::{Ending, Level, Limits, Meter, Period, Quota};

use super::{CHAT, PLAIN, World, events, tokens, told, world};
use crate::common::{EOS, call, post_request};

const MESSAGES: &str = "/v1/messages";
/// Of the prompt that all of these send as tokens.
const PROMPT: [u32; 5] = [104, 101, 108, 108, 111];

fn plain(more: Value) -> Value {
    let mut body = json!({"model": "mock", "prompt": PROMPT, "max_tokens": 10});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn chat(more: Value) -> Value {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let mut body = json!({"model": "mock", "messages": messages, "max_tokens": 20});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// Tokens of a chat's prompt.
async fn num_prompt(world: &World) -> i64 {
    world.budget(i64::MAX);
    let answer = world.well(CHAT, chat(json!({}))).await;
    let spent = world.standing().total.cost.round_up().unwrap().get();
    let num_prompt = answer["usage"]["prompt_tokens"].as_i64().unwrap();
    assert_eq!(spent, answer["usage"]["total_tokens"].as_i64().unwrap());
    num_prompt
}

/// Leaves so many micro-units.
fn leave(world: &World, micros: i64) {
    world.budget(world.standing().total.cost.round_up().unwrap().get() + micros);
}

async fn stream(world: &World, path: &str, body: Value) -> Vec<Value> {
    let (status, _, text) = call(&world.router, post_request(path, body.to_string())).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    events(&text)
}

fn reasons(answer: &Value) -> Vec<&str> {
    let choices = answer["choices"].as_array().unwrap();
    choices.iter().map(|choice| choice["finish_reason"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_budget_ends_an_answer_in_each_apis_words() {
    let (world, _) = world(MockModel::scripted("The quick brown fox jumps over the dog.", EOS));
    let num_prompt = num_prompt(&world).await;
    let mut num_entries = 1;
    let converse = json!({"messages": [{"role": "user", "content": [{"text": "hello"}]}],
        "inferenceConfig": {"maxTokens": 20}});
    let meta = json!({"prompt": "hello", "max_gen_len": 20});
    let input = json!({"model": "mock", "input": "hello", "max_output_tokens": 20});
    for (path, body, [reason, place]) in [
        (CHAT, chat(json!({})), ["budget", "/choices/0/finish_reason"]),
        (MESSAGES, chat(json!({})), ["max_tokens", "/stop_reason"]),
        ("/v1/responses", input.clone(), ["budget", "/incomplete_details/reason"]),
        ("/model/mock/converse", converse, ["max_tokens", "/stopReason"]),
    ] {
        leave(&world, num_prompt + 7);
        let answer = world.well(path, body).await;
        assert_eq!(answer.pointer(place).unwrap(), reason, "{answer}");
        num_entries += 1;
        let entry = world.last(num_entries).await;
        assert_eq!((entry.ending, tokens(entry.usage)[2]), (Ending::Capped, 7), "{path}");
        let text = answer.to_string();
        assert!(text.contains("The qui") && !text.contains("The quick"), "{text}");
    }
    leave(&world, 6 + 7);
    let answer = world.well("/model/mock/invoke", meta).await;
    assert_eq!(
        (&answer["stop_reason"], &answer["generation"]),
        (&json!("length"), &json!("The qui"))
    );

    leave(&world, num_prompt + 7);
    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    let all = stream(&world, CHAT, chat(more)).await;
    let said: String =
        all.iter().filter_map(|it| it["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(said, "The qui");
    assert_eq!(all[all.len() - 2]["choices"][0]["finish_reason"], "budget");
    let entry = world.last(num_entries + 2).await;
    assert_eq!(told(&all.last().unwrap()["usage"]), tokens(entry.usage));
    assert_eq!(entry.ending, Ending::Capped);
    leave(&world, num_prompt + 7);
    let all = stream(
        &world,
        "/v1/responses",
        json!({"model": "mock", "input": "hello",
        "max_output_tokens": 20, "stream": true}),
    )
    .await;
    let last = all.last().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["incomplete_details"]["reason"]),
        (&json!("response.incomplete"), &json!("budget"))
    );
    let standing = world.standing();
    assert_eq!(standing.held.cost.get(), 0);
    assert_eq!(world.post(CHAT, chat(json!({}))).await.0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn what_is_left_is_shared_by_all_choices_of_all_prompts() {
    let (world, _) = world(MockModel::scripted("0123456789", EOS));
    for (n, left, stream_it) in [(1, 7, false), (2, 9, false), (2, 9, true), (3, 29, false)] {
        leave(&world, 10 + left);
        let mut body = plain(json!({"n": n, "prompt": [PROMPT, PROMPT], "ignore_eos": true}));
        let before = world.standing().total.usage;
        let (texts, reasons): (String, Vec<String>) = if stream_it {
            body["stream"] = json!(true);
            let all = stream(&world, PLAIN, body).await;
            let choices: Vec<&Value> = all.iter().map(|event| &event["choices"][0]).collect();
            let reasons = choices.iter().filter_map(|choice| choice["finish_reason"].as_str());
            let texts = choices.iter().map(|choice| choice["text"].as_str().unwrap());
            (texts.collect(), reasons.map(str::to_owned).collect())
        } else {
            let answer = world.well(PLAIN, body).await;
            assert_eq!(answer["usage"]["completion_tokens"], left);
            let choices = answer["choices"].as_array().unwrap();
            let texts = choices.iter().map(|choice| choice["text"].as_str().unwrap());
            (texts.collect(), reasons(&answer).into_iter().map(str::to_owned).collect())
        };
        assert_eq!(texts.len() as i64, left, "{texts}");
        assert_eq!(reasons.len(), 2 * n);
        assert!(reasons.iter().any(|reason| reason == "budget"), "{reasons:?}");
        // One that had all it asked for says so.
        assert!(reasons.iter().all(|reason| ["budget", "length"].contains(&reason.as_str())));
        let after = world.standing().total.usage;
        let output = |usage: server_metering::Usage| usage.get(Meter::OutputTokens) as i64;
        assert_eq!(output(after) - output(before), left);
    }
}

#[tokio::test]
async fn who_is_not_cut_ends_as_ever() {
    let (world, _) = world(MockModel::scripted("01234", EOS));
    // With the end of the sequence there are six tokens.
    for (left, more, reason, ending) in [
        (100, json!({}), "stop", Ending::Finished),
        (100, json!({"max_tokens": 4}), "length", Ending::Finished),
        (6, json!({}), "stop", Ending::Finished),
        (5, json!({}), "budget", Ending::Capped),
        (5, json!({"stop": "34"}), "stop", Ending::Finished),
        (4, json!({"stop": "34"}), "budget", Ending::Capped),
        (4, json!({"max_tokens": 4}), "length", Ending::Finished),
        (4, json!({"min_tokens": 5}), "budget", Ending::Capped),
    ] {
        let num_entries = world.num_entries();
        leave(&world, 5 + left);
        let answer = world.well(PLAIN, plain(more.clone())).await;
        assert_eq!(reasons(&answer), [reason], "{left} {more}");
        let entry = world.last(num_entries + 1).await;
        assert_eq!((entry.ending, tokens(entry.usage)), (ending, told(&answer["usage"])));
    }
}

#[tokio::test]
async fn a_quota_ends_it_as_a_length() {
    let (world, _) = world(MockModel::scripted("0123456789", EOS));
    let quota = Quota { meter: Meter::OutputTokens, period: Period::Day, units: 7 };
    world.limit(Level::Key, Limits { quotas: vec![quota], ..Limits::default() });
    let answer = world.well(PLAIN, plain(json!({}))).await;
    assert_eq!((reasons(&answer), told(&answer["usage"])[2]), (vec!["length"], 7));
    assert_eq!(world.last(1).await.ending, Ending::Capped);
    let (status, _, answer) = world.post(PLAIN, plain(json!({}))).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer["error"]["code"], "insufficient_quota");
}
