//! What Bedrock's clients are told when something is wrong, before and within a stream.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use engine_mock::{Fault, MockModel};
use scheduler_batching::PlannerConfig;
use serde_json::{Value, json};
use server_http::{AppState, HttpLimits, router};

use crate::bedrock::{converse, post, says, send, stream, tools};
use crate::common::{EOS, Server, endless, faulty, post_request, server_with};

/// A 400 whose message has `word`, from both operations.
async fn check_refusal(server: &Server, body: &Value, word: &str) {
    let shown: String = body.to_string().chars().take(200).collect();
    for operation in ["converse", "converse-stream"] {
        let (status, headers, answer) = post(server, operation, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{shown}: {answer}");
        assert_eq!(headers["x-amzn-errortype"], "ValidationException");
        assert_eq!(headers["x-amzn-requestid"], headers["x-request-id"]);
        assert!(answer["message"].as_str().unwrap().contains(word), "{shown}: {answer}");
    }
}

#[tokio::test]
async fn errors_have_awss_names() {
    let server = says("");
    let of = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let more = |fields: Value| converse(json!({"additionalModelRequestFields": fields}));
    let impossible = json!({"textFormat": {"type": "json_schema",
        "structure": {"jsonSchema": {"schema": "{\"type\": \"thing\"}"}}}});
    let nope = json!({"tools": tools(), "toolChoice": {"tool": {"name": "nope"}}});
    let config = |config: Value| converse(json!({"inferenceConfig": config}));
    let use_in_user = json!([{"toolUse": {"toolUseId": "x", "name": "f", "input": {}}}]);
    let point = json!({"cachePoint": {"type": "default"}});
    let result = json!([point, {"toolResult": {"toolUseId": "x", "content": []}}]);
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
        (of(use_in_user), "messages[0].content[0].toolUse"),
        (of(result.clone()), "more toolResult blocks than toolUse blocks of the previous turn"),
        (of(result), "messages[0].content[1].toolResult.toolUseId"),
        (of(bad_result), "image"),
        (json!({"messages": [{"role": "tool", "content": [{"text": "a"}]}]}), "role"),
        (json!({"messages": many}), "maximum context length"),
        (config(json!({"maxTokens": 0})), "'inferenceConfig.maxTokens' must be at least 1."),
        (config(json!({"maxTokens": "1"})), "inferenceConfig.maxTokens"),
        (config(json!({"temperature": 9})), "'inferenceConfig.temperature'"),
        (config(json!({"topP": 0})), "'inferenceConfig.topP'"),
        (config(json!({"stopSequences": vec!["a"; 2501]})), "'inferenceConfig.stopSequences' has"),
        (config(json!({"stopSequences": ["a".repeat(1025)]})), "'inferenceConfig.stopSequences'"),
        (config(json!({"stopSequences": vec!["a".repeat(1000); 66]})), "65536 bytes"),
        (more(json!({"top_k": -2})), "'additionalModelRequestFields.top_k'"),
        (more(json!({"min_p": 2})), "'additionalModelRequestFields.min_p'"),
        (converse(json!({"outputConfig": impossible})), "'outputConfig.textFormat'"),
        (more(json!({"top_q": 1})), "top_q"),
        (converse(json!({"guardrailConfig": {"guardrailIdentifier": "g"}})), "guardrailConfig"),
        (converse(json!({"toolConfig": {"tools": [{"systemTool": {"name": "s"}}]}})), "systemTool"),
        (
            converse(json!({"toolConfig": {"tools": [point, {"toolSpec": {"name": "a b",
            "inputSchema": {"json": {}}}}]}})),
            "'toolConfig.tools[1].toolSpec.name'",
        ),
        (converse(json!({"toolConfig": nope})), "'toolConfig.toolChoice'"),
        (
            converse(json!({"toolConfig": {"tools": [{"toolSpec": {"name": "a",
            "inputSchema": {"text": "{}"}}}]}})),
            "inputSchema.json",
        ),
        (converse(json!({"toolConfig": {"tools": tools(), "toolChoice": {"one": {}}}})), "one"),
    ] {
        check_refusal(&server, &body, word).await;
    }
}

#[tokio::test]
async fn what_has_a_few_known_values_has_no_others() {
    let server = says("");
    let form = |format: Value| converse(json!({"outputConfig": {"textFormat": format}}));
    let thinking = json!({"thinking": {"type": "always"}});
    let budget = json!({"type": "enabled", "budget_tokens": 1023});
    for (body, word) in [
        (form(json!({"type": "xml"})), "'outputConfig.textFormat.type' must be"),
        (form(json!({"type": 1})), "'outputConfig.textFormat.type' must be"),
        (form(json!({"structure": {}})), "parameter: 'outputConfig.textFormat.type'"),
        (form(json!({"type": "json_schema"})), "structure.jsonSchema.schema"),
        (converse(json!({"serviceTier": {"type": "scale"}})), "'serviceTier.type' must be"),
        (converse(json!({"serviceTier": {}})), "parameter: 'serviceTier.type'"),
        (
            converse(json!({"additionalModelRequestFields": thinking})),
            "'additionalModelRequestFields.thinking.type' must be",
        ),
        (
            converse(json!({"additionalModelRequestFields": {"thinking": budget}})),
            "'additionalModelRequestFields.thinking.budget_tokens' must be",
        ),
    ] {
        check_refusal(&server, &body, word).await;
    }
}

#[tokio::test]
async fn errors_of_what_is_invoked_have_them_too() {
    let server = says("");
    for body in [
        json!({}),
        json!({"prompt": "a"}),
        json!({"prompt": 1, "max_tokens": 1}),
        json!({"messages": 3}),
        json!({"anthropic_version": "b", "messages": []}),
        json!({"prompt": "a", "max_gen_len": 0}),
    ] {
        for operation in ["invoke", "invoke-with-response-stream"] {
            let (status, headers, answer) = post(&server, operation, &body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
            assert_eq!(headers["x-amzn-errortype"], "ValidationException");
            let names_it = answer["message"].as_str().unwrap().contains("'max_gen_len' must be");
            assert_eq!(names_it, body["max_gen_len"] == 0, "{answer}");
        }
    }
}

#[tokio::test]
async fn only_a_models_id_is_known_and_other_operations_are_not() {
    let server = says("ok");
    let ask = |method: &str, path: &str| {
        let body = Body::from(converse(json!({})).to_string());
        Request::builder().method(method).uri(path).body(body).unwrap()
    };
    for (method, path, status, name) in [
        ("POST", "/model/%6Dock/converse", 200, None),
        ("POST", "/model/us.mock/converse", 200, None),
        ("POST", "/model/xy.mock/converse", 404, Some("ResourceNotFoundException")),
        ("POST", "/model/meta.mock-v1%3A0/converse", 404, Some("ResourceNotFoundException")),
        ("POST", "/model/meta.mock-v1:0/converse", 404, Some("ResourceNotFoundException")),
        (
            "POST",
            "/model/arn%3Aaws%3Abedrock%3A%3Am%2Fmock/converse-stream",
            404,
            Some("ResourceNotFoundException"),
        ),
        ("POST", "/model/%ff/converse", 400, Some("ValidationException")),
        ("POST", "/model/mock/count-tokens", 400, Some("ValidationException")),
        ("POST", "/model/mock/count", 404, Some("UnknownOperationException")),
        ("GET", "/model/mock/converse", 405, Some("ValidationException")),
        // A model's id is escaped; whatever else is asked below is told in this API's shape, too.
        ("POST", "/model/org/mock/converse", 404, Some("UnknownOperationException")),
        ("POST", "/model/arn:aws:bedrock/a/b/mock/invoke", 404, Some("UnknownOperationException")),
        ("POST", "/model/mock", 404, Some("UnknownOperationException")),
        ("GET", "/model/", 404, Some("UnknownOperationException")),
        ("GET", "/model/mock/converse/", 404, Some("UnknownOperationException")),
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
