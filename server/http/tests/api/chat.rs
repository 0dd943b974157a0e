//! Chat completions, whole and streamed.

use axum::http::StatusCode;
use engine_mock::{Fault, MockModel};
use serde_json::{Value, json};

use crate::common::{EOS, events, post, says, server, until_idle};

const PATH: &str = "/v1/chat/completions";

fn hello(more: Value) -> Value {
    let mut body = json!({"model": "mock", "messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// `<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n` in the byte vocabulary.
const HELLO_TOKENS: u64 = 1 + 5 + 2 + 1 + 1 + 1 + 10;

#[tokio::test]
async fn an_answer_in_one_piece() {
    let server = says("Hello!");
    let (status, answer) = post(&server.router, PATH, hello(json!({}))).await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!({
        "object": "chat.completion",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "Hello!", "refusal": null},
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": HELLO_TOKENS,
            "completion_tokens": 7,
            "total_tokens": HELLO_TOKENS + 7,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
        },
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_second_turn_computes_only_what_is_new() {
    let said = "It is a long answer, of more than one block. ".repeat(2);
    let server = says(&said);
    let (_, first) = post(&server.router, PATH, hello(json!({}))).await;
    assert_eq!(first["choices"][0]["message"]["content"], said);
    let messages = json!([
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": said},
        {"role": "user", "content": "And then?"},
    ]);
    let (_, second) = post(&server.router, PATH, hello(json!({"messages": messages}))).await;
    // The answer too, all but what does not fill a block; the rest of its last message is new.
    let known = HELLO_TOKENS + said.len() as u64;
    let cached = &second["usage"]["prompt_tokens_details"]["cached_tokens"];
    assert_eq!(*cached, known / 16 * 16, "{second}");
    assert!(cached.as_u64().unwrap() > HELLO_TOKENS + 64);
}

#[tokio::test]
async fn a_stream_is_openais_word_for_word() {
    let server = says("Hé");
    let body = hello(json!({"stream": true, "stream_options": {"include_usage": true}}));
    fn chunk(choices: Value, usage: Value) -> Value {
        json!({"object": "chat.completion.chunk", "choices": choices, "usage": usage})
    }
    let piece = |delta: Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason});
        chunk(json!([choice]), Value::Null)
    };
    let usage = json!({
        "prompt_tokens": HELLO_TOKENS,
        "completion_tokens": 4,
        "total_tokens": HELLO_TOKENS + 4,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    });
    let expected = vec![
        piece(json!({"role": "assistant", "content": ""}), Value::Null),
        piece(json!({"content": "H"}), Value::Null),
        // Two tokens: a part of a character is never sent.
        piece(json!({"content": "é"}), Value::Null),
        piece(json!({}), json!("stop")),
        chunk(json!([]), usage),
    ];
    assert_eq!(events(&server.router, PATH, body).await, expected);
}

#[tokio::test]
async fn without_include_usage_no_chunk_has_a_usage() {
    let server = says("Hello");
    let events = events(&server.router, PATH, hello(json!({"stream": true}))).await;
    assert!(events.iter().all(|event| event.get("usage").is_none()));
    assert_eq!(joined(&events, 0), "Hello");
}

/// The content of a choice's deltas.
fn joined(events: &[Value], index: u64) -> String {
    let choices = events.iter().flat_map(|event| event["choices"].as_array().unwrap());
    let own = choices.filter(|choice| choice["index"] == index);
    own.filter_map(|choice| choice["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn choices_of_a_stream_are_whole_and_equal_to_those_in_one_piece() {
    let model = MockModel { seed: 7, ..MockModel::default() };
    let server = server(model);
    let body = |stream: bool| {
        let options =
            json!({"n": 3, "seed": 5, "max_tokens": 20, "ignore_eos": true, "stream": stream});
        hello(options)
    };
    let (_, whole) = post(&server.router, PATH, body(false)).await;
    let events = events(&server.router, PATH, body(true)).await;
    let whole: Vec<&str> =
        (0..3).map(|idx| whole["choices"][idx]["message"]["content"].as_str().unwrap()).collect();
    assert!(whole[0] != whole[1] && whole[1] != whole[2]);
    for (index, text) in whole.into_iter().enumerate() {
        assert_eq!(joined(&events, index as u64), text);
        let own = |event: &&Value| event["choices"][0]["index"] == index;
        let own: Vec<_> = events.iter().filter(own).map(|event| &event["choices"][0]).collect();
        assert_eq!(own[0]["delta"]["role"], "assistant");
        assert!(own[1..].iter().all(|choice| choice["delta"].get("role").is_none()));
        assert_eq!(own.last().unwrap()["finish_reason"], "length");
    }
}

#[tokio::test]
async fn a_stop_text_split_across_tokens_is_never_sent() {
    let server = says("abc STOP def");
    let body = |stream: bool| hello(json!({"stop": ["STOP", "zzz"], "stream": stream}));
    let (_, whole) = post(&server.router, PATH, body(false)).await;
    assert_eq!(whole["choices"][0]["message"]["content"], "abc ");
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    // Tokens up to the one that completed the stop text, though more may have been computed.
    assert_eq!(whole["usage"]["completion_tokens"], 8);
    let events = events(&server.router, PATH, body(true)).await;
    assert_eq!(joined(&events, 0), "abc ");
    until_idle(&server.handle).await;
}

#[tokio::test]
async fn what_was_held_back_for_a_stop_text_comes_when_it_does_not() {
    let server = says("abc STO");
    let (_, answer) = post(&server.router, PATH, hello(json!({"stop": "STOP"}))).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "abc STO");
}

#[tokio::test]
async fn stops_can_be_part_of_the_answer() {
    let server = says("abc STOP def");
    let body = hello(json!({"stop": "STOP", "include_stop_str_in_output": true}));
    let (_, answer) = post(&server.router, PATH, body).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "abc STOP");
    let body = hello(json!({"stop_token_ids": [u32::from(b'c')]}));
    let (_, answer) = post(&server.router, PATH, body).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "ab");
    assert_eq!(answer["usage"]["completion_tokens"], 3);
}

#[tokio::test]
async fn min_tokens_holds_off_stops() {
    let server = says("aXbXc");
    let body = hello(json!({"stop": "X", "min_tokens": 3}));
    let (_, answer) = post(&server.router, PATH, body).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "aXb");
}

#[tokio::test]
async fn logprobs_have_an_entry_per_token_and_openais_form() {
    let server = says("aé");
    let body = hello(json!({"logprobs": true, "top_logprobs": 2}));
    let (_, answer) = post(&server.router, PATH, body).await;
    let entries = answer["choices"][0]["logprobs"]["content"].as_array().unwrap().clone();
    let bytes: Vec<_> = entries.iter().map(|entry| entry["bytes"].clone()).collect();
    assert_eq!(bytes, [json!([97]), json!([195]), json!([169])]);
    assert_eq!(entries[0]["token"], "a");
    assert_eq!(entries[1]["token"], "\u{fffd}");
    for entry in &entries {
        assert!(entry["logprob"].as_f64().unwrap() < 0.0);
        let top = entry["top_logprobs"].as_array().unwrap();
        assert_eq!(top.len(), 2);
        assert!(top[0]["logprob"].as_f64() >= top[1]["logprob"].as_f64());
        assert!(top[0]["token"].is_string() && top[0]["bytes"].is_array());
    }
}

#[tokio::test]
async fn logprobs_of_a_stream_are_those_of_the_whole_without_the_stop_text() {
    let server = says("aé STOP");
    let body = |stream: bool| hello(json!({"logprobs": true, "stop": "STOP", "stream": stream}));
    let (_, whole) = post(&server.router, PATH, body(false)).await;
    let events = events(&server.router, PATH, body(true)).await;
    let pieces = events.iter().filter_map(|e| e["choices"][0]["logprobs"]["content"].as_array());
    let streamed: Vec<Value> = pieces.flatten().cloned().collect();
    assert_eq!(streamed.len(), 4);
    assert_eq!(whole["choices"][0]["logprobs"]["content"], json!(streamed));
}

#[tokio::test]
async fn everything_clients_send_is_taken() {
    let server = says("ok");
    let body = hello(json!({
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "name": "bo", "content": [
                {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "42"},
        ],
        "user": "u", "metadata": {"a": "b"}, "store": false, "service_tier": "auto",
        "parallel_tool_calls": true, "reasoning_effort": "low", "prediction": null,
        "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto",
        "response_format": {"type": "text"}, "modalities": ["text"], "audio": null,
        "temperature": 0, "top_p": 0.5, "top_k": -1, "min_p": 0.1, "n": 1, "stop": null,
        "presence_penalty": 1, "frequency_penalty": -1, "repetition_penalty": 1.1,
        "logit_bias": {"65": -100, "66": 5.5}, "seed": -5, "max_completion_tokens": 9,
        "max_tokens": 3, "min_tokens": 0, "ignore_eos": false, "skip_special_tokens": true,
        "chat_template_kwargs": {"enable_thinking": false}, "logprobs": false, "top_logprobs": 0,
        "a_field_of_tomorrow": [[1]],
    }));
    let (status, answer) = post(&server.router, PATH, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["choices"][0]["message"]["content"], "ok");
}

#[tokio::test]
async fn an_absent_max_tokens_is_the_rest_of_the_context() {
    let server = server(MockModel::default());
    let (_, answer) = post(&server.router, PATH, hello(json!({"ignore_eos": true}))).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["total_tokens"], crate::common::MAX_MODEL_LEN);
}

#[tokio::test]
async fn the_last_message_can_be_continued() {
    let server = says(" world");
    let messages =
        json!([{"role": "user", "content": "Say it"}, {"role": "assistant", "content": "Hello"}]);
    let body = hello(json!({"messages": messages, "continue_final_message": true, "echo": true}));
    let (_, answer) = post(&server.router, PATH, body).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello world");
}

#[tokio::test]
async fn an_engine_that_fails_midway_ends_the_stream_with_an_error() {
    use crate::common::faulty;
    let server = faulty(MockModel::scripted("Hello", EOS), 2, Fault::Error("no memory".into()));
    let events = events(&server.router, PATH, hello(json!({"stream": true}))).await;
    assert_eq!(joined_until_error(&events), "He");
    let error = &events.last().unwrap()["error"];
    assert_eq!(error["code"], "internal_error");
    assert!(!error["message"].as_str().unwrap().contains("no memory"));
    let (status, again) = post(&server.router, PATH, hello(json!({}))).await;
    assert_eq!(
        (status, &again["choices"][0]["message"]["content"]),
        (StatusCode::OK, &json!("Hello"))
    );
}

fn joined_until_error(events: &[Value]) -> String {
    let texts = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    texts.collect()
}
