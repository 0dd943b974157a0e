//! AWS Bedrock's runtime API, over the same chat.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use engine_mock::MockModel;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::common::{EOS, Server, post_request, roomy};

const CALL: &str = "<think>\nHm.\n</think>\n\nI look.\n<tool_call>\n\
    {\"name\": \"weather\", \"arguments\": {\"city\": \"Köln\"}}\n</tool_call>";

/// A model that says `text` and then ends.
pub(crate) fn says(text: &str) -> Server {
    roomy(MockModel::scripted(text, EOS))
}

pub(crate) async fn send(
    router: &Router,
    request: Request<Body>,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    (head.status, head.headers, to_bytes(body, usize::MAX).await.unwrap().to_vec())
}

pub(crate) async fn post(
    server: &Server,
    operation: &str,
    body: &Value,
) -> (StatusCode, HeaderMap, Value) {
    let path = format!("/model/mock/{operation}");
    let (status, headers, body) = send(&server.router, post_request(&path, body.to_string())).await;
    (status, headers, serde_json::from_slice(&body).unwrap())
}

pub(crate) fn converse(more: Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": [{"text": "hello"}]}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

pub(crate) fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"enum": ["Köln"]}},
        "required": ["city"], "additionalProperties": false});
    let spec = json!({"name": "weather", "description": "d", "inputSchema": {"json": schema}});
    json!([{"toolSpec": spec}, {"cachePoint": {"type": "default"}}])
}

/// The events of a stream: what each is called, and what it holds.
fn events(mut frames: &[u8]) -> Vec<(String, Value)> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap());
    let mut events = Vec::new();
    while !frames.is_empty() {
        let (frame, rest) = frames.split_at(number(frames) as usize);
        assert_eq!(number(&frame[8..]), crc32fast::hash(&frame[..8]));
        let (content, crc) = frame.split_at(frame.len() - 4);
        assert_eq!(number(crc), crc32fast::hash(content));
        let (mut headers, payload) = content[12..].split_at(number(&frame[4..]) as usize);
        let mut told = std::collections::BTreeMap::new();
        while let [len, more @ ..] = headers {
            let (name, more) = more.split_at((*len).into());
            assert_eq!(more[0], 7);
            let len = u16::from_be_bytes([more[1], more[2]]);
            let (value, more) = more[3..].split_at(len.into());
            told.insert(std::str::from_utf8(name).unwrap(), std::str::from_utf8(value).unwrap());
            headers = more;
        }
        assert_eq!(told[":content-type"], "application/json");
        let kind = told[&*format!(":{}-type", told[":message-type"])];
        events.push((kind.to_owned(), serde_json::from_slice(payload).unwrap()));
        frames = rest;
    }
    events
}

pub(crate) async fn stream(server: &Server, operation: &str, body: &Value) -> Vec<(String, Value)> {
    let path = format!("/model/mock/{operation}");
    let (status, headers, body) = send(&server.router, post_request(&path, body.to_string())).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    assert_eq!(headers["content-type"], "application/vnd.amazon.eventstream");
    events(&body)
}

#[tokio::test]
async fn a_message_and_why_it_ended() {
    for (text, more, said, reason) in [
        ("Hello", json!({}), "Hello", "end_turn"),
        (
            "Hello",
            json!({"inferenceConfig": {"maxTokens": 2, "temperature": 0.5, "topP": 0.9}}),
            "He",
            "max_tokens",
        ),
        (
            "Hello STOP",
            // More than OpenAI allows.
            json!({"inferenceConfig": {"stopSequences": ["a", "b", "c", "d", " STOP"]}}),
            "Hello",
            "stop_sequence",
        ),
        (
            "Hello",
            json!({"system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
            "additionalModelRequestFields": {"top_k": 1, "seed": 3},
            "requestMetadata": {"a": "b"}}),
            "Hello",
            "end_turn",
        ),
    ] {
        let (status, headers, answer) = post(&says(text), "converse", &converse(more)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let message = json!({"role": "assistant", "content": [{"text": said}]});
        assert_eq!(answer["output"], json!({"message": message}));
        assert_eq!(answer["stopReason"], reason);
        let usage = &answer["usage"];
        let count = |name: &str| usage[name].as_u64().unwrap();
        assert!(count("inputTokens") > 5 && count("outputTokens") > 0, "{usage}");
        assert_eq!(count("totalTokens"), count("inputTokens") + count("outputTokens"));
        assert_eq!((count("cacheReadInputTokens"), count("cacheWriteInputTokens")), (0, 0));
        assert!(answer["metrics"]["latencyMs"].is_u64(), "{answer}");
        assert_eq!(headers["x-amzn-requestid"], headers["x-request-id"]);
    }
}

#[tokio::test]
async fn thoughts_texts_and_calls_are_blocks_and_come_in_awss_order() {
    let server = says(CALL);
    let body = converse(json!({"toolConfig": {"tools": tools()}}));
    let (_, _, answer) = post(&server, "converse", &body).await;
    assert_eq!(answer["stopReason"], "tool_use", "{answer}");
    let content = answer["output"]["message"]["content"].as_array().unwrap();
    let thought = json!({"reasoningContent": {"reasoningText": {"text": "\nHm.\n"}}});
    assert_eq!(content[..2], [thought, json!({"text": "I look."})]);
    let call = &content[2]["toolUse"];
    assert_eq!((&call["name"], &call["input"]), (&json!("weather"), &json!({"city": "Köln"})));
    assert!(call["toolUseId"].as_str().unwrap().starts_with("toolu_"));

    let events = stream(&server, "converse-stream", &body).await;
    let mut kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    kinds.dedup();
    let deltas_and_stop = ["contentBlockDelta", "contentBlockStop"];
    let expected = [
        &["messageStart"][..],
        &deltas_and_stop,
        &deltas_and_stop,
        &["contentBlockStart"],
        &deltas_and_stop,
        &["messageStop", "metadata"],
    ];
    assert_eq!(kinds, expected.concat());
    assert_eq!(events[0].1, json!({"role": "assistant"}));
    let of_kind = |wanted: &'static str| {
        events.iter().filter(move |(kind, _)| kind == wanted).map(|(_, data)| data)
    };
    let start = of_kind("contentBlockStart").next().unwrap();
    assert_eq!(
        (&start["contentBlockIndex"], &start["start"]["toolUse"]["name"]),
        (&json!(2), &json!("weather"))
    );
    let join = |index: u64, pointer: &str| {
        let deltas = of_kind("contentBlockDelta").filter(|data| data["contentBlockIndex"] == index);
        deltas
            .map(|data| data["delta"].pointer(pointer).unwrap().as_str().unwrap())
            .collect::<String>()
    };
    assert_eq!(join(0, "/reasoningContent/text"), "\nHm.\n");
    assert_eq!(join(1, "/text"), "I look.");
    assert_eq!(join(2, "/toolUse/input"), "{\"city\": \"Köln\"}");
    assert_eq!(of_kind("messageStop").next().unwrap(), &json!({"stopReason": "tool_use"}));
    let metadata = of_kind("metadata").next().unwrap();
    assert_eq!(metadata["usage"]["outputTokens"], answer["usage"]["outputTokens"]);
    assert!(metadata["metrics"]["latencyMs"].is_u64());
}

#[tokio::test]
async fn a_tool_can_be_required_and_its_result_given() {
    let rambles = MockModel { eos_token: Some(EOS), eos_probability: 0.2, ..MockModel::default() };
    let server = roomy(rambles);
    let config = |choice: Value| json!({"toolConfig": {"tools": tools(), "toolChoice": choice}});
    let body = converse(config(json!({"tool": {"name": "weather"}})));
    let (status, _, answer) = post(&server, "converse", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let content = &answer["output"]["message"]["content"];
    assert_eq!(content[0]["toolUse"]["input"], json!({"city": "Köln"}), "{answer}");
    assert_eq!(answer["stopReason"], "tool_use");
    let body = converse(config(json!({"tool": {"name": "nope"}})));
    assert_eq!(post(&server, "converse", &body).await.0, StatusCode::BAD_REQUEST);

    let call = json!({"toolUse": {"toolUseId": "t1", "name": "unheard_of", "input": {"a": 1}}});
    let thought = json!({"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}});
    let hidden = json!({"reasoningContent": {"redactedContent": "no base64!"}});
    let results = json!([{"json": {"degrees": 21}}, {"text": "warm"}]);
    let result = json!({"toolResult": {"toolUseId": "t1", "content": results, "status": "error"}});
    let turns = json!([
        {"role": "user", "content": [{"text": "hello"}]},
        {"role": "assistant", "content": [thought, hidden, {"text": "I look."}, call]},
        {"role": "user", "content": [result, {"text": "So?"}]},
    ]);
    let body = converse(json!({"messages": turns, "toolConfig": {"tools": tools()}}));
    let (status, _, answer) = post(&says("ok"), "converse", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test]
async fn an_answer_matches_its_schema() {
    let rambles = MockModel { eos_token: Some(EOS), eos_probability: 0.2, ..MockModel::default() };
    let schema = json!({"enum": ["S", "M"]}).to_string();
    let format = |schema: &str| {
        let structure = json!({"jsonSchema": {"schema": schema}});
        let format = json!({"type": "json_schema", "structure": structure});
        converse(json!({"outputConfig": {"textFormat": format}}))
    };
    let server = roomy(rambles);
    let (_, _, answer) = post(&server, "converse", &format(&schema)).await;
    let said = answer["output"]["message"]["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(["\"S\"", "\"M\""].contains(&said.as_str()), "{answer}");
    let (status, _, answer) = post(&server, "converse", &format("{")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let any = converse(json!({"outputConfig": {"textFormat": {"type": "text"}}}));
    let (_, _, answer) = post(&says("L"), "converse", &any).await;
    assert_eq!(answer["output"]["message"]["content"][0]["text"], "L");
}

#[tokio::test]
async fn the_tier_is_told_to_who_asks_for_one() {
    let server = says("Hello");
    for (asked, told) in [
        (json!({"type": "priority"}), json!({"type": "priority"})),
        (json!({"type": "flex"}), json!({"type": "flex"})),
        (json!({"type": "default"}), json!({"type": "default"})),
        (json!({"type": "reserved"}), json!({"type": "default"})),
        (Value::Null, Value::Null),
    ] {
        let body = converse(json!({"serviceTier": asked}));
        let (status, _, answer) = post(&server, "converse", &body).await;
        assert_eq!((status, &answer["serviceTier"]), (StatusCode::OK, &told), "{answer}");
        let events = stream(&server, "converse-stream", &body).await;
        let (kind, metadata) = events.last().unwrap();
        assert_eq!((kind.as_str(), &metadata["serviceTier"]), ("metadata", &told));
    }
}
