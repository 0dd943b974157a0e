//! Answers that must match a schema, an expression, a choice or a grammar.

use axum::http::StatusCode;
use engine_mock::MockModel;
use serde_json::{Value, json};

use crate::common::{EOS, events, post, roomy, says, server};

const CHAT: &str = "/v1/chat/completions";
const PLAIN: &str = "/v1/completions";

/// Whether a text is what was asked for.
type Check<'a> = &'a dyn Fn(&str) -> bool;

/// A model that says anything and would end by chance.
fn rambles() -> MockModel {
    MockModel { eos_token: Some(EOS), eos_probability: 0.1, ..MockModel::default() }
}

fn chat(more: &Value) -> Value {
    let mut body = json!({"model": "mock", "messages": [{"role": "user", "content": "hello"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"ok": {"type": "boolean"}, "n": {"enum": [1, 22]}},
        "required": ["ok", "n"], "additionalProperties": false})
}

#[tokio::test]
async fn every_name_for_a_schema_makes_answers_match_it() {
    let server = server(rambles());
    let text = schema().to_string();
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema()}});
    for more in [
        json!({"response_format": format}),
        json!({"structured_outputs": {"json": schema()}}),
        json!({"guided_json": schema()}),
        json!({"guided_json": text}),
    ] {
        let mut body = chat(&more);
        body["n"] = 4.into();
        let (status, answer) = post(&server.router, CHAT, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        for choice in answer["choices"].as_array().unwrap() {
            let text = choice["message"]["content"].as_str().unwrap();
            let value: Value = serde_json::from_str(text).unwrap();
            assert!(value["ok"].is_boolean() && [1, 22].contains(&value["n"].as_i64().unwrap()));
            assert_eq!(
                (value.as_object().unwrap().len(), &choice["finish_reason"]),
                (2, &json!("stop"))
            );
        }
    }
}

#[tokio::test]
async fn other_forms_match_too_in_plain_completions_and_streams() {
    let server = server(rambles());
    let gbnf = "root ::= [ab]{3} \"!\"";
    let is_gbnf = |text: &str| {
        text.len() == 4 && text.ends_with('!') && text[..3].chars().all(|c| "ab".contains(c))
    };
    let is_choice = |text: &str| ["yes", "no"].contains(&text);
    let is_regex = |text: &str| text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    let cases: [(Value, Check<'_>); 6] = [
        (json!({"guided_regex": "[0-9]{4}"}), &is_regex),
        (json!({"structured_outputs": {"regex": "[0-9]{4}"}}), &is_regex),
        (json!({"guided_choice": ["yes", "no"]}), &is_choice),
        (json!({"structured_outputs": {"choice": ["yes", "no"]}}), &is_choice),
        (json!({"guided_grammar": gbnf}), &is_gbnf),
        (json!({"structured_outputs": {"grammar": "start: /[ab]{3}!/"}}), &is_gbnf),
    ];
    for (more, is_right) in cases {
        let mut body = json!({"model": "mock", "prompt": "x", "max_tokens": 50});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, answer) = post(&server.router, PLAIN, body.clone()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert!(is_right(answer["choices"][0]["text"].as_str().unwrap()), "{more}: {answer}");
        body["stream"] = true.into();
        let events = events(&server.router, PLAIN, body).await;
        let texts = events.iter().filter_map(|event| event["choices"][0]["text"].as_str());
        let text: String = texts.collect();
        assert!(is_right(&text), "{more}: {text}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_says_length() {
    let server = server(rambles());
    let body = chat(&json!({"response_format": {"type": "json_object"}, "max_tokens": 1}));
    let (status, answer) = post(&server.router, CHAT, body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["choices"][0]["message"]["content"], "{");
}

/// What the model would rather say counts for nothing where the grammar allows one thing only.
#[tokio::test]
async fn the_grammar_wins_over_the_model() {
    let server = says("no");
    let body = chat(&json!({"guided_choice": ["yes"], "temperature": 0}));
    let (_, answer) = post(&server.router, CHAT, body).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "yes");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn what_cannot_be_honoured_is_refused_with_its_name() {
    let server = server(rambles());
    let format = |schema: Value| json!({"type": "json_schema", "json_schema": {"schema": schema}});
    let named = json!({"type": "json_schema", "json_schema": {"name": "bad name!"}});
    for (more, param, word) in [
        (json!({"response_format": {"type": "xml"}}), "response_format.type", "xml"),
        (json!({"response_format": {"type": "json_schema"}}), "response_format.json_schema", ""),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}),
            "response_format.json_schema.schema",
            "",
        ),
        (json!({"response_format": named}), "response_format.json_schema.name", "letters"),
        (json!({"response_format": format(json!({"not": {}}))}), "response_format", "not"),
        (json!({"response_format": format(json!([]))}), "response_format", "object"),
        (json!({"guided_json": "{"}), "guided_json", "JSON"),
        (json!({"guided_regex": "("}), "guided_regex", ""),
        (json!({"guided_choice": []}), "guided_choice", "choice"),
        (json!({"guided_grammar": "root ::= x"}), "guided_grammar", "'x'"),
        (json!({"structured_outputs": {}}), "structured_outputs", "one of"),
        (json!({"guided_regex": "a", "guided_choice": ["b"]}), "guided_choice", "exclude"),
        (json!({"guided_regex": "a", "ignore_eos": true}), "ignore_eos", "exclude"),
        (json!({"guided_regex": "a", "min_tokens": 1}), "min_tokens", "exclude"),
    ] {
        let (status, answer) = post(&server.router, CHAT, chat(&more)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{more}: {answer}");
        let error = &answer["error"];
        assert_eq!(error["param"], param, "{more}: {answer}");
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].as_str().unwrap().contains(word), "{more}: {answer}");
    }
    // Nothing of it has hurt the server.
    let (status, _) = post(&server.router, CHAT, chat(&json!({"guided_regex": "a"}))).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn what_only_narrows_is_passed_over_where_it_is_not_strict() {
    let server = roomy(rambles());
    let narrow = json!({"type": "object", "properties": {
        "contains": {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": true,
            "contains": {"const": 1}, "maxItems": 3},
        "key": {"type": "string", "format": "password", "maxLength": 3}},
        "required": ["contains", "key"], "additionalProperties": false});
    for strict in [json!(null), json!(false), json!(true)] {
        let schema = json!({"name": "n", "schema": narrow, "strict": strict});
        let format = json!({"response_format": {"type": "json_schema", "json_schema": schema}});
        let function = json!({"name": "f", "parameters": narrow, "strict": strict});
        let tools = json!([{"type": "function", "function": function}]);
        for more in [format, json!({"tools": tools, "tool_choice": "required"})] {
            let mut asked = more;
            asked["parallel_tool_calls"] = false.into();
            let (status, answer) = post(&server.router, CHAT, chat(&asked)).await;
            if strict == true {
                assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
                let message = answer["error"]["message"].as_str().unwrap();
                assert!(message.contains("uniqueItems"), "{message}");
                continue;
            }
            assert_eq!(status, StatusCode::OK, "{answer}");
            let message = &answer["choices"][0]["message"];
            let call = &message["tool_calls"][0]["function"]["arguments"];
            let text = call.as_str().or(message["content"].as_str()).unwrap();
            let value: Value = serde_json::from_str(text).unwrap();
            let items = value["contains"].as_array().unwrap();
            assert!(items.len() <= 3 && items.iter().all(|item| *item == 1 || *item == 2));
            assert!(value["key"].is_string(), "{text}");
        }
    }
    // vLLM's name has no such word.
    let (status, _) = post(&server.router, CHAT, chat(&json!({"guided_json": narrow}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
