//! AWS Bedrock's runtime API, over the same chat.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine_mock::{Fault, MockModel};
use scheduler_batching::PlannerConfig;
use serde_json::{Value, json};
use server_http::{AppState, HttpLimits, router};
use tower::ServiceExt;

use crate::common::{EOS, Server, endless, faulty, post_request, roomy, server_with};

const CALL: &str = "<think>\nHm.\n</think>\n\nI look.\n<tool_call>\n\
    {\"name\": \"weather\", \"arguments\": {\"city\": \"Köln\"}}\n</tool_call>";

/// A model that says `text` and then ends.
fn says(text: &str) -> Server {
    roomy(MockModel::scripted(text, EOS))
}

pub(crate) async fn send(
    router: &Router,
    request: Request<Body>,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    (head.status, head.headers, to_bytes(body, usize::MAX).await.unwrap().to_vec())
}

async fn post(server: &Server, operation: &str, body: &Value) -> (StatusCode, HeaderMap, Value) {
    let path = format!("/model/mock/{operation}");
    let (status, headers, body) = send(&server.router, post_request(&path, body.to_string())).await;
    (status, headers, serde_json::from_slice(&body).unwrap())
}

pub(crate) fn converse(more: Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": [{"text": "hello"}]}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
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

async fn stream(server: &Server, operation: &str, body: &Value) -> Vec<(String, Value)> {
    let path = format!("/model/mock/{operation}");
    let (status, headers, body) = send(&server.router, post_request(&path, body.to_string())).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    assert_eq!(headers["content-type"], "application/vnd.amazon.eventstream");
    events(&body)
}

/// The chunks of an invocation's stream.
async fn chunks(server: &Server, body: &Value) -> Vec<Value> {
    let events = stream(server, "invoke-with-response-stream", body).await;
    let chunk = |(kind, data): (String, Value)| {
        assert_eq!(kind, "chunk");
        serde_json::from_slice(&STANDARD.decode(data["bytes"].as_str().unwrap()).unwrap()).unwrap()
    };
    events.into_iter().map(chunk).collect()
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
            json!({"inferenceConfig": {"stopSequences": [" STOP"]}}),
            "Hello",
            "stop_sequence",
        ),
        (
            "Hello",
            json!({"system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
            "additionalModelRequestFields": {"top_k": 1, "seed": 3}, "requestMetadata": {"a": "b"}}),
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
}

#[tokio::test]
async fn models_are_invoked_in_their_makers_forms() {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let anthropic =
        json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": messages});
    let openai = json!({"messages": messages, "n": 2, "model": "other", "stream": true});
    let meta = json!({"prompt": "<|begin_of_text|>hello", "max_gen_len": 9, "temperature": 0.5});
    let mistral = json!({"prompt": "hello", "max_tokens": 9, "top_k": 3, "stop": ["x"]});
    let server = says("Hello");
    for (body, pointer, reason) in [
        (&anthropic, "/content/0/text", "/stop_reason"),
        (&openai, "/choices/1/message/content", "/choices/0/finish_reason"),
        (&meta, "/generation", "/stop_reason"),
        (&mistral, "/outputs/0/text", "/outputs/0/stop_reason"),
    ] {
        let (status, headers, answer) = post(&server, "invoke", body).await;
        assert_eq!((status, answer.pointer(pointer)), (StatusCode::OK, Some(&json!("Hello"))));
        let reason = answer.pointer(reason).unwrap();
        assert_eq!(reason, if body == &anthropic { "end_turn" } else { "stop" });
        for name in ["input", "output"] {
            let count = &headers[&*format!("x-amzn-bedrock-{name}-token-count")];
            assert!(count.to_str().unwrap().parse::<u64>().unwrap() > 4, "{name}");
        }
    }
    let (_, headers, answer) = post(&server, "invoke", &meta).await;
    assert_eq!(
        headers["x-amzn-bedrock-output-token-count"],
        *answer["generation_token_count"].to_string()
    );
    assert_eq!(
        headers["x-amzn-bedrock-input-token-count"],
        *answer["prompt_token_count"].to_string()
    );
}

#[tokio::test]
async fn the_last_chunk_tells_what_was_used() {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let server = says("Hello");
    for (body, pointer) in [
        (json!({"anthropic_version": "b", "max_tokens": 9, "messages": messages}), "/delta/text"),
        (json!({"messages": messages, "n": 2}), "/choices/0/delta/content"),
        (json!({"prompt": "hello", "max_gen_len": 9}), "/generation"),
        (json!({"prompt": "hello", "max_tokens": 9}), "/outputs/0/text"),
    ] {
        let chunks = chunks(&server, &body).await;
        let n = body["n"].as_u64().unwrap_or(1);
        let said: String =
            chunks.iter().filter_map(|chunk| chunk.pointer(pointer)?.as_str()).collect();
        assert_eq!(said.chars().count() as u64, 5 * n, "{chunks:?}");
        let metrics = "amazon-bedrock-invocationMetrics";
        let (last, before) = chunks.split_last().unwrap();
        assert!(before.iter().all(|chunk| chunk.get(metrics).is_none()), "{chunks:?}");
        let metrics = &last[metrics];
        assert!(metrics["inputTokenCount"].as_u64().unwrap() > 4, "{metrics}");
        assert!(metrics["outputTokenCount"].as_u64().unwrap() >= 5 * n, "{metrics}");
        assert!(metrics["firstByteLatency"].as_u64() <= metrics["invocationLatency"].as_u64());
    }
}

#[tokio::test]
async fn errors_have_awss_names() {
    let server = says("");
    let of = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let config = |config: Value| converse(json!({"inferenceConfig": config}));
    let use_in_user = json!([{"toolUse": {"toolUseId": "x", "name": "f", "input": {}}}]);
    let result = json!([{"toolResult": {"toolUseId": "x", "content": []}}]);
    let bad_result = json!([{"toolResult": {"toolUseId": "x", "content": [{"image": {}}]}}]);
    let many: Vec<Value> = vec![json!({"role": "user", "content": [{"text": "hello"}]}); 10_000];
    for (body, word) in [
        (json!({}), "messages"),
        (json!({"messages": []}), "messages"),
        (of(json!([])), "messages[0].content"),
        (of(json!("hello")), "messages[0].content"),
        (of(json!([{"image": {"format": "png", "source": {"bytes": "!"}}}])), "image"),
        (of(json!([{"document": {"name": "d"}}])), "document"),
        (of(json!([{"text": "a", "toolUse": {}}])), "messages[0].content[0]"),
        (of(use_in_user), "tool_use"),
        (of(result), "no call of the assistant"),
        (of(bad_result), "image"),
        (json!({"messages": [{"role": "tool", "content": [{"text": "a"}]}]}), "role"),
        (json!({"messages": many}), "maximum context length"),
        (config(json!({"maxTokens": 0})), "at least 1"),
        (config(json!({"temperature": 9})), "temperature"),
        (config(json!({"stopSequences": ["a", "b", "c", "d", "e"]})), "stop"),
        (converse(json!({"additionalModelRequestFields": {"top_q": 1}})), "top_q"),
        (converse(json!({"guardrailConfig": {"guardrailIdentifier": "g"}})), "guardrailConfig"),
        (converse(json!({"toolConfig": {"tools": [{"systemTool": {"name": "s"}}]}})), "systemTool"),
        (
            converse(json!({"toolConfig": {"tools": [{"toolSpec": {"name": "a b",
            "inputSchema": {"json": {}}}}]}})),
            "name",
        ),
        (
            converse(json!({"toolConfig": {"tools": [{"toolSpec": {"name": "a",
            "inputSchema": {"text": "{}"}}}]}})),
            "inputSchema.json",
        ),
        (converse(json!({"toolConfig": {"tools": tools(), "toolChoice": {"one": {}}}})), "one"),
    ] {
        let shown: String = body.to_string().chars().take(200).collect();
        for operation in ["converse", "converse-stream"] {
            let (status, headers, answer) = post(&server, operation, &body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{shown}: {answer}");
            assert_eq!(headers["x-amzn-errortype"], "ValidationException");
            assert_eq!(headers["x-amzn-requestid"], headers["x-request-id"]);
            assert!(answer["message"].as_str().unwrap().contains(word), "{shown}: {answer}");
        }
    }
    for body in [
        json!({}),
        json!({"prompt": "a"}),
        json!({"prompt": 1, "max_tokens": 1}),
        json!({"messages": 3}),
        json!({"anthropic_version": "b", "messages": []}),
    ] {
        for operation in ["invoke", "invoke-with-response-stream"] {
            let (status, headers, answer) = post(&server, operation, &body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
            assert_eq!(headers["x-amzn-errortype"], "ValidationException");
        }
    }
}

#[tokio::test]
async fn only_a_models_exact_id_is_known_and_other_operations_are_not() {
    let server = says("ok");
    let ask = |method: &str, path: &str| {
        let body = Body::from(converse(json!({})).to_string());
        Request::builder().method(method).uri(path).body(body).unwrap()
    };
    for (method, path, status, name) in [
        ("POST", "/model/%6Dock/converse", 200, None),
        ("POST", "/model/us.mock/converse", 404, Some("ResourceNotFoundException")),
        ("POST", "/model/meta.mock-v1%3A0/converse", 404, Some("ResourceNotFoundException")),
        ("POST", "/model/meta.mock-v1:0/converse", 404, Some("ResourceNotFoundException")),
        (
            "POST",
            "/model/arn%3Aaws%3Abedrock%3A%3Am%2Fmock/converse-stream",
            404,
            Some("ResourceNotFoundException"),
        ),
        ("POST", "/model/%ff/converse", 400, Some("ValidationException")),
        ("POST", "/model/mock/count-tokens", 404, Some("UnknownOperationException")),
        ("GET", "/model/mock/converse", 405, Some("ValidationException")),
    ] {
        let (got, headers, body) = send(&server.router, ask(method, path)).await;
        assert_eq!(got.as_u16(), status, "{path} {}", String::from_utf8_lossy(&body));
        let told = headers.get("x-amzn-errortype").map(|name| name.to_str().unwrap());
        assert_eq!(told, name, "{path}");
    }
    let guarded =
        Request::post("/model/mock/invoke").header("x-amzn-bedrock-guardrailidentifier", "g");
    let body = json!({"prompt": "a", "max_tokens": 1}).to_string();
    let (status, _, _) = send(&server.router, guarded.body(Body::from(body)).unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_model_that_loads_or_failed_or_has_no_room_is_told_as_aws_does() {
    let state = AppState::builder().loading("mock").build();
    let router = router(state.clone());
    let ask = || post_request("/model/mock/converse", converse(json!({})).to_string());
    let (status, headers, _) = send(&router, ask()).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(headers["x-amzn-errortype"], "ModelNotReadyException");
    assert_eq!(headers["retry-after"], "2");
    state.fail("mock", "out of memory");
    let (status, headers, _) = send(&router, ask()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(headers["x-amzn-errortype"], "ServiceUnavailableException");
}

#[tokio::test]
async fn an_error_in_mid_stream_is_an_exception_and_the_last_event() {
    for operation in ["converse-stream", "invoke-with-response-stream"] {
        let server = faulty(MockModel::scripted("Hello", EOS), 3, Fault::Error("broken".into()));
        let mut body = converse(json!({}));
        if operation != "converse-stream" {
            body = json!({"prompt": "hello", "max_tokens": 9});
        }
        let events = stream(&server, operation, &body).await;
        let (kind, data) = events.last().unwrap();
        assert_eq!(kind, "internalServerException");
        assert!(data["message"].as_str().unwrap().contains("error") && events.len() > 1);
    }
}

#[tokio::test]
async fn silence_in_a_stream_is_filled_with_what_clients_pass_over() {
    let limits = HttpLimits { keep_alive: Duration::from_millis(1), ..HttpLimits::default() };
    let server = server_with(endless(), PlannerConfig::default(), limits);
    let body = converse(json!({"inferenceConfig": {"maxTokens": 5}}));
    let events = stream(&server, "converse-stream", &body).await;
    let fillers = events.iter().filter(|(kind, _)| kind == "keepAlive");
    assert!(fillers.count() > 0, "{events:?}");
    let told: Vec<_> = events.iter().filter(|(kind, _)| kind != "keepAlive").collect();
    assert_eq!((told[0].0.as_str(), told[told.len() - 1].0.as_str()), ("messageStart", "metadata"));
}
