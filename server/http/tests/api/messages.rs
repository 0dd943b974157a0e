//! Anthropic's Messages API, over the same chat.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use engine_mock::MockModel;
use serde_json::{Value, json};

use crate::common::{EOS, Server, call, post_request, roomy};

/// A model that says `text` and then ends.
fn says(text: &str) -> Server {
    roomy(MockModel::scripted(text, EOS))
}

const PATH: &str = "/v1/messages";
const CALL: &str = "<think>\nHm.\n</think>\n\nI look.\n<tool_call>\n\
    {\"name\": \"weather\", \"arguments\": {\"city\": \"Köln\"}}\n</tool_call>";

fn request(more: Value) -> Value {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let mut body = json!({"model": "mock", "max_tokens": 300, "messages": messages});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"enum": ["Köln"]}},
        "required": ["city"], "additionalProperties": false});
    json!([{"name": "weather", "description": "d", "input_schema": schema}])
}

async fn send(server: &Server, body: Value) -> (StatusCode, Value) {
    let (status, _, text) = call(&server.router, post_request(PATH, body.to_string())).await;
    (status, serde_json::from_str(&text).unwrap())
}

/// The events of a stream: each is named by its type.
async fn events(server: &Server, body: Value) -> Vec<Value> {
    let (status, headers, text) = call(&server.router, post_request(PATH, body.to_string())).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (StatusCode::OK, &"text/event-stream".parse().unwrap())
    );
    let event = |block: &str| {
        let (name, data) = block.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        data
    };
    text.split_terminator("\n\n").map(event).collect()
}

#[tokio::test]
async fn a_message_and_why_it_ended() {
    for (says_text, more, text, reason, sequence) in [
        ("Hello", json!({}), "Hello", "end_turn", Value::Null),
        ("Hello", json!({"max_tokens": 2}), "He", "max_tokens", Value::Null),
        (
            "Hello STOP",
            json!({"stop_sequences": ["x", " STOP"]}),
            "Hello",
            "stop_sequence",
            json!(" STOP"),
        ),
        ("Hello", json!({"system": "Be brief."}), "Hello", "end_turn", Value::Null),
        (
            "Hello",
            json!({"system": [{"type": "text", "text": "a"}]}),
            "Hello",
            "end_turn",
            Value::Null,
        ),
    ] {
        let server = says(says_text);
        let (status, answer) = send(&server, request(more)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert!(answer["id"].as_str().unwrap().starts_with("msg_"), "{answer}");
        assert_eq!(answer["type"], "message");
        assert_eq!(answer["role"], "assistant");
        assert_eq!(answer["content"], json!([{"type": "text", "text": text}]));
        assert_eq!((&answer["stop_reason"], &answer["stop_sequence"]), (&json!(reason), &sequence));
        assert!(answer["usage"]["input_tokens"].as_u64().unwrap() > 5, "{answer}");
    }
}

#[tokio::test]
async fn thoughts_texts_and_calls_are_blocks() {
    let server = says(CALL);
    let (_, answer) = send(&server, request(json!({"tools": tools()}))).await;
    assert_eq!(answer["stop_reason"], "tool_use", "{answer}");
    let content = answer["content"].as_array().unwrap();
    assert_eq!(content[0], json!({"type": "thinking", "thinking": "\nHm.\n", "signature": ""}));
    assert_eq!(content[1], json!({"type": "text", "text": "I look."}));
    assert_eq!((&content[2]["type"], &content[2]["name"]), (&json!("tool_use"), &json!("weather")));
    assert_eq!(content[2]["input"], json!({"city": "Köln"}));
    assert!(content[2]["id"].as_str().unwrap().starts_with("toolu_"));

    let events = events(&server, request(json!({"tools": tools(), "stream": true}))).await;
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types[0], "message_start");
    assert_eq!(events[0]["message"]["content"], json!([]));
    assert_eq!(types[types.len() - 2..], ["message_delta", "message_stop"]);
    let starts = events.iter().filter(|event| event["type"] == "content_block_start");
    let kinds: Vec<_> = starts
        .map(|event| (event["index"].as_u64().unwrap(), event["content_block"]["type"].clone()))
        .collect();
    assert_eq!(kinds, [(0, json!("thinking")), (1, json!("text")), (2, json!("tool_use"))]);
    assert_eq!(types.iter().filter(|kind| **kind == "content_block_stop").count(), 3);
    let join = |index: u64, field: &str| {
        let deltas = events
            .iter()
            .filter(|event| event["type"] == "content_block_delta" && event["index"] == index);
        deltas.map(|event| event["delta"][field].as_str().unwrap()).collect::<String>()
    };
    assert_eq!(join(0, "thinking"), "\nHm.\n");
    assert_eq!(join(1, "text"), "I look.");
    assert_eq!(join(2, "partial_json"), "{\"city\": \"Köln\"}");
    let delta = &events[events.len() - 2];
    assert_eq!(delta["delta"]["stop_reason"], "tool_use");
    assert_eq!(delta["usage"]["output_tokens"], answer["usage"]["output_tokens"]);
}

#[tokio::test]
async fn a_tool_can_be_required_and_its_result_given() {
    let rambles = MockModel { eos_token: Some(EOS), eos_probability: 0.2, ..MockModel::default() };
    let server = roomy(rambles);
    for choice in [
        json!({"type": "any", "disable_parallel_tool_use": true}),
        json!({"type": "tool", "name": "weather"}),
    ] {
        let (status, answer) =
            send(&server, request(json!({"tools": tools(), "tool_choice": choice}))).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["content"][0]["input"], json!({"city": "Köln"}), "{answer}");
        assert_eq!(answer["stop_reason"], "tool_use");
    }
    let turns = json!([
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": ""},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1",
                "content": [{"type": "text", "text": "21"}]},
            {"type": "text", "text": "So?"}]},
    ]);
    let (status, answer) =
        send(&server, request(json!({"messages": turns, "tools": tools()}))).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test]
async fn tokens_are_counted_as_they_are_used() {
    let server = says("Hello");
    let body = request(json!({"system": "Be brief."}));
    let (_, answer) = send(&server, body.clone()).await;
    let mut body = body;
    body.as_object_mut().unwrap().remove("max_tokens");
    let counted = post_request("/v1/messages/count_tokens", body.to_string());
    let (status, _, text) = call(&server.router, counted).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let counted: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(counted["input_tokens"], answer["usage"]["input_tokens"]);
}

#[tokio::test]
async fn errors_have_anthropics_shape() {
    let server = says("");
    let image = json!([{"role": "user", "content": [{"type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": ""}}]}]);
    for (more, status, kind, word) in [
        (json!({"max_tokens": null}), 400, "invalid_request_error", "max_tokens"),
        (json!({"model": "nope"}), 404, "not_found_error", "nope"),
        (json!({"messages": []}), 400, "invalid_request_error", "messages"),
        (json!({"messages": 3}), 400, "invalid_request_error", "messages"),
        (json!({"messages": image}), 400, "invalid_request_error", "image"),
        (
            json!({"messages": [{"role": "system", "content": "a"}]}),
            400,
            "invalid_request_error",
            "role",
        ),
        (json!({"thinking": {"type": "no"}}), 400, "invalid_request_error", "'thinking.type'"),
        (json!({"temperature": 9}), 400, "invalid_request_error", "temperature"),
        (
            json!({"tools": [{"type": "web_search_20250305", "name": "w"}]}),
            400,
            "invalid_request_error",
            "server",
        ),
        (
            json!({"tool_choice": {"type": "tool"}}),
            400,
            "invalid_request_error",
            "tool_choice.name",
        ),
        (
            json!({"system": "Be brief.", "messages": [{"role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "x"}]}]}),
            400,
            "invalid_request_error",
            "'messages[0].content[0].tool_use_id'",
        ),
        (
            json!({"stop_sequences": vec!["x"; 2501]}),
            400,
            "invalid_request_error",
            "'stop_sequences' has 2501 entries",
        ),
        (json!({"tools": [{"name": "a b"}]}), 400, "invalid_request_error", "'tools[0].name'"),
    ] {
        let (got, answer) = send(&server, request(more.clone())).await;
        assert_eq!(got.as_u16(), status, "{more}: {answer}");
        assert_eq!((&answer["type"], &answer["error"]["type"]), (&json!("error"), &json!(kind)));
        assert!(answer["error"]["message"].as_str().unwrap().contains(word), "{more}: {answer}");
    }
    let get = Request::get(PATH).body(Body::empty()).unwrap();
    let (status, _, text) = call(&server.router, get).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(text.contains("\"type\":\"error\""), "{text}");
}
