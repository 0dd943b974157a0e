//! Plain completions as evaluation harnesses use them.

use axum::http::StatusCode;
use engine_mock::MockModel;
use serde_json::{Value, json};

use crate::common::{events, post, says, server};

const PATH: &str = "/v1/completions";

fn body(prompt: Value, more: Value) -> Value {
    let mut body = json!({"model": "mock", "prompt": prompt});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn a_completion_in_one_piece() {
    let server = says(" world");
    let (status, answer) = post(&server.router, PATH, body(json!("hello"), json!({}))).await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!({
        "object": "text_completion",
        "choices": [{"index": 0, "text": " world", "logprobs": null, "finish_reason": "stop"}],
        "usage": {
            // With the beginning of sequence.
            "prompt_tokens": 6, "completion_tokens": 7, "total_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
        },
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_stream_is_openais_word_for_word() {
    let server = says("ab");
    let options = json!({"stream": true, "stream_options": {"include_usage": true}});
    let events = events(&server.router, PATH, body(json!("x"), options)).await;
    let chunk = |text: &str, reason: Value| {
        let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": reason});
        json!({"object": "text_completion", "choices": [choice], "usage": null})
    };
    let usage = json!({
        "prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    });
    let expected = vec![
        chunk("a", Value::Null),
        chunk("b", Value::Null),
        chunk("", json!("stop")),
        json!({"object": "text_completion", "choices": [], "usage": usage}),
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn sixteen_tokens_are_the_default() {
    let server = server(MockModel::default());
    let options = json!({"ignore_eos": true});
    let (_, answer) = post(&server.router, PATH, body(json!("x"), options)).await;
    assert_eq!(answer["usage"]["completion_tokens"], 16);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn every_form_of_prompt_is_answered() {
    let server = says("ok");
    let forms = [
        (json!("ab"), 1, 3),
        (json!(["ab", "cde"]), 2, 7),
        (json!([97, 98]), 1, 2),
        (json!([[97, 98], [99]]), 2, 3),
    ];
    for (prompt, num_choices, num_tokens) in forms {
        let (_, answer) = post(&server.router, PATH, body(prompt.clone(), json!({}))).await;
        let choices = answer["choices"].as_array().unwrap();
        assert_eq!(choices.len(), num_choices, "{prompt}");
        for (index, choice) in choices.iter().enumerate() {
            assert_eq!((&choice["index"], &choice["text"]), (&json!(index), &json!("ok")));
        }
        assert_eq!(answer["usage"]["prompt_tokens"], num_tokens, "{prompt}");
        assert_eq!(answer["usage"]["completion_tokens"], 3 * num_choices, "{prompt}");
    }
}

#[tokio::test]
async fn choices_of_several_prompts_are_numbered_by_prompt() {
    let server = says("ok");
    let options = json!({"n": 2, "echo": true});
    let (_, answer) = post(&server.router, PATH, body(json!(["a", "b"]), options)).await;
    let texts = (0..4).map(|idx| answer["choices"][idx]["text"].as_str().unwrap());
    assert_eq!(texts.collect::<Vec<_>>(), ["aok", "aok", "bok", "bok"]);
}

#[tokio::test]
async fn an_echoed_prompt_is_scored_but_for_its_first_token() {
    let server = says("é!");
    let options = json!({"echo": true, "logprobs": 2, "max_tokens": 3});
    let (_, answer) = post(&server.router, PATH, body(json!([256, 97, 98]), options)).await;
    let choice = &answer["choices"][0];
    assert_eq!(choice["text"], "abé!");
    let logprobs = &choice["logprobs"];
    let tokens = json!(["<bos>", "a", "b", "bytes:\\xc3", "bytes:\\xa9", "!"]);
    assert_eq!(logprobs["tokens"], tokens);
    assert_eq!(logprobs["text_offset"], json!([0, 0, 1, 2, 2, 3]));
    assert_eq!(logprobs["token_logprobs"][0], Value::Null);
    assert_eq!(logprobs["top_logprobs"][0], Value::Null);
    for idx in 1..6 {
        let logprob = &logprobs["token_logprobs"][idx];
        assert!(logprob.as_f64().unwrap() < 0.0);
        let top = logprobs["top_logprobs"][idx].as_object().unwrap();
        assert!((1..=3).contains(&top.len()), "{top:?}");
        assert_eq!(&top[tokens[idx].as_str().unwrap()], logprob);
    }
}

#[tokio::test]
async fn a_prompt_can_be_scored_without_generating() {
    let server = says("never");
    let options = json!({"echo": true, "logprobs": 0, "max_tokens": 0});
    let (_, answer) = post(&server.router, PATH, body(json!("abc"), options)).await;
    let choice = &answer["choices"][0];
    assert_eq!((&choice["text"], &choice["finish_reason"]), (&json!("abc"), &json!("length")));
    assert_eq!(choice["logprobs"]["token_logprobs"].as_array().unwrap().len(), 4);
    assert_eq!(answer["usage"]["completion_tokens"], 0);

    let options = json!({"echo": true, "max_tokens": 0, "stream": true});
    let events = events(&server.router, PATH, body(json!("abc"), options)).await;
    assert_eq!(events[0]["choices"][0]["text"], "abc");
    assert_eq!(events[1]["choices"][0]["finish_reason"], "length");
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn scores_of_a_prompt_are_the_same_streamed() {
    let server = says("cd");
    let options = |stream: bool| json!({"echo": true, "logprobs": 1, "stream": stream});
    let (_, whole) = post(&server.router, PATH, body(json!("ab"), options(false))).await;
    let events = events(&server.router, PATH, body(json!("ab"), options(true))).await;
    for list in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
        let pieces = events.iter().map(|event| &event["choices"][0]["logprobs"][list]);
        let joined: Vec<Value> =
            pieces.flat_map(|piece| piece.as_array().unwrap().clone()).collect();
        assert_eq!(whole["choices"][0]["logprobs"][list], json!(joined), "{list}");
    }
}

#[tokio::test]
async fn a_score_comes_for_the_token_that_ends_a_scored_prompt() {
    let server = says("");
    let options = json!({"echo": true, "logprobs": 1, "max_tokens": 1});
    let (_, answer) = post(&server.router, PATH, body(json!([97, 98]), options)).await;
    let choice = &answer["choices"][0];
    assert_eq!((&choice["text"], &choice["finish_reason"]), (&json!("ab"), &json!("stop")));
    assert_eq!(choice["logprobs"]["tokens"], json!(["a", "b", "<eos>"]));
    assert_eq!(choice["logprobs"]["text_offset"], json!([0, 1, 2]));
}

#[tokio::test]
async fn the_tokenizers_own_tokens_can_be_left_out() {
    let server = says("ok");
    let mut counts = Vec::new();
    for add_special_tokens in [true, false] {
        let options = json!({"add_special_tokens": add_special_tokens});
        let (_, answer) = post(&server.router, PATH, body(json!("ab"), options)).await;
        counts.push(answer["usage"]["prompt_tokens"].clone());
    }
    assert_eq!(counts, [3, 2]);
}
