//! Bedrock's models: by which names they are found, which there are, and how their tokens count.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::bedrock::{converse, post, says, send, tools};
use crate::common::{Server, post_request};

const ARN: &str = "arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3A";

async fn get(server: &Server, path: &str) -> (StatusCode, Value) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let (status, headers, body) = send(&server.router, request).await;
    let name = headers.get("x-amzn-errortype").map(|name| name.to_str().unwrap());
    assert_eq!(name.is_none(), status.is_success());
    assert_eq!(headers["x-amzn-requestid"], headers["x-request-id"]);
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    if let Some(name) = name {
        body["name"] = name.into();
    }
    (status, body)
}

#[tokio::test]
async fn models_are_found_by_what_aws_makes_of_their_ids() {
    let server = says("ok");
    let ask = async |id: &str, operation: &str, body: &Value| {
        let path = format!("/model/{id}/{operation}");
        send(&server.router, post_request(&path, body.to_string())).await.0
    };
    let invoked = json!({"prompt": "hello", "max_tokens": 9});
    for id in [
        "mock".to_owned(),
        "us.mock".to_owned(),
        "global.mock".to_owned(),
        format!("{ARN}foundation-model%2Fmock"),
        format!("{ARN}inference-profile%2Fapac.mock"),
        format!("{ARN}provisioned-model%2Fmock"),
        format!("{ARN}imported-model%2Fmock"),
        // As some write it.
        "arn:aws:bedrock:eu-west-1::foundation-model%2Fmock".to_owned(),
    ] {
        for operation in ["converse", "converse-stream"] {
            assert_eq!(ask(&id, operation, &converse(json!({}))).await, StatusCode::OK, "{id}");
        }
        for operation in ["invoke", "invoke-with-response-stream"] {
            assert_eq!(ask(&id, operation, &invoked).await, StatusCode::OK, "{id}");
        }
        assert_eq!(get(&server, &format!("/foundation-models/{id}")).await.0, StatusCode::OK);
    }
    for id in ["moc", "us.moc", "xy.mock", &format!("{ARN}guardrail%2Fmock")] {
        let status = ask(id, "converse", &converse(json!({}))).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{id}");
        let (status, error) = get(&server, &format!("/foundation-models/{id}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{id}");
        assert_eq!(error["name"], "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn models_are_listed_and_shown() {
    let server = says("ok");
    let model = json!({
        "modelArn": "arn:aws:bedrock:local::foundation-model/mock", "modelId": "mock",
        "modelName": "mock", "providerName": "Agentbase", "inputModalities": ["TEXT"],
        "outputModalities": ["TEXT"], "responseStreamingSupported": true,
        "customizationsSupported": [], "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
    });
    let (_, shown) = get(&server, "/foundation-models/mock").await;
    assert_eq!(shown, json!({"modelDetails": model}));
    let all = json!([model]);
    for (query, expected) in [
        ("", &all),
        ("?byProvider=agentbase&byOutputModality=TEXT&byInferenceType=ON_DEMAND", &all),
        ("?byOutputModality=EMBEDDING", &json!([])),
        ("?byInferenceType=PROVISIONED", &json!([])),
        ("?byCustomizationType=FINE_TUNING", &json!([])),
        ("?byProvider=Amazon", &json!([])),
    ] {
        let (status, listed) = get(&server, &format!("/foundation-models{query}")).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(listed["modelSummaries"], *expected, "{query}");
    }
    for name in ["byOutputModality", "byInferenceType", "byCustomizationType"] {
        let (status, error) = get(&server, &format!("/foundation-models?{name}=SOUND")).await;
        assert_eq!(
            (status, &error["name"]),
            (StatusCode::BAD_REQUEST, &"ValidationException".into())
        );
        assert!(error["message"].as_str().unwrap().contains(&format!("'{name}'")), "{error}");
    }
}

#[tokio::test]
async fn what_there_is_not_is_said_in_awss_shape() {
    let server = says("ok");
    let unknown = (StatusCode::NOT_FOUND, "UnknownOperationException".to_owned());
    for path in ["/foundation-models/", "/foundation-models/mock/x", "/model/mock/apply"] {
        let (status, error) = get(&server, path).await;
        assert_eq!((status, error["name"].as_str().unwrap()), (unknown.0, &*unknown.1), "{path}");
        assert!(error["message"].as_str().unwrap().contains("CountTokens"), "{error}");
    }
    // Elsewhere only a signature tells that AWS's client asks.
    for path in ["/guardrails", "/inference-profiles", "/async-invoke", "/model-invocation-jobs"] {
        let request = Request::get(path).header("authorization", "AWS4-HMAC-SHA256 Credential=A");
        let request = request.body(Body::empty()).unwrap();
        let (status, headers, body) = send(&server.router, request).await;
        assert_eq!(
            (status, headers["x-amzn-errortype"].to_str().unwrap()),
            (unknown.0, &*unknown.1)
        );
        assert_eq!(headers["x-amzn-requestid"], headers["x-request-id"]);
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(body["message"].as_str().unwrap().contains("not supported"), "{body}");
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (status, headers, body) = send(&server.router, request).await;
        assert_eq!((status, headers.get("x-amzn-errortype")), (StatusCode::NOT_FOUND, None));
        assert!(String::from_utf8(body).unwrap().contains("unknown_url"));
    }
}

#[tokio::test]
async fn tokens_are_counted_as_they_are_used() {
    let server = says("ok");
    let body = converse(json!({"system": [{"text": "Be brief."}],
        "toolConfig": {"tools": tools()}}));
    let (_, _, answer) = post(&server, "converse", &body).await;
    let counted = async |input: Value| {
        let (status, _, answer) = post(&server, "count-tokens", &json!({"input": input})).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["inputTokens"].as_u64().unwrap()
    };
    let used = answer["usage"]["inputTokens"].as_u64().unwrap();
    assert_eq!(counted(json!({"converse": body})).await, used);

    let messages = json!([{"role": "user", "content": "hello, you there"}]);
    for body in [
        json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": messages}),
        json!({"messages": messages}),
        json!({"prompt": "hello, all of you", "max_gen_len": 9}),
        json!({"prompt": "hello, both of you", "max_tokens": 9}),
    ] {
        let (_, headers, _) = post(&server, "invoke", &body).await;
        let used = headers["x-amzn-bedrock-input-token-count"].to_str().unwrap();
        let body = STANDARD.encode(body.to_string());
        let counted = counted(json!({"invokeModel": {"body": body}})).await;
        assert_eq!(counted.to_string(), used);
    }
}

#[tokio::test]
async fn what_cannot_be_counted_is_refused_by_its_place() {
    let server = says("ok");
    let encoded = |body: &str| json!({"invokeModel": {"body": STANDARD.encode(body)}});
    let result = json!({"toolResult": {"toolUseId": "x", "content": [{"text": "1"}]}});
    let deep = format!("{{\"messages\": {}", "[".repeat(1000));
    for (input, says) in [
        (json!(null), "'input'"),
        (json!({}), "input"),
        (json!({"converse": {}}), "'input.converse.messages'"),
        (json!({"converse": {"messages": []}}), "'input.converse.messages' must not be empty"),
        (
            json!({"converse": {"messages": [{"role": "user", "content": []}]}}),
            "'input.converse.messages[0].content' must not be empty",
        ),
        (
            json!({"converse": {"messages": [{"role": "user", "content": [result]}]}}),
            "'input.converse.messages[0].content[0].toolResult.toolUseId'",
        ),
        (json!({"invokeModel": {}}), "'input.invokeModel.body'"),
        (json!({"invokeModel": {"body": "{}"}}), "'input.invokeModel.body' is not base64"),
        (encoded("no JSON"), "must be a JSON object"),
        (encoded("{}"), "must have 'anthropic_version'"),
        (encoded(&deep), "nested deeper"),
    ] {
        let (status, headers, answer) =
            post(&server, "count-tokens", &json!({"input": input})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{input}: {answer}");
        assert_eq!(headers["x-amzn-errortype"], "ValidationException");
        assert!(answer["message"].as_str().unwrap().contains(says), "{input}: {answer}");
    }
}
