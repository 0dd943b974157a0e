//! Bad input, each kind with its answer in OpenAI's shape.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::common::{Server, call, post_request, says};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const PLAIN: &str = "/v1/completions";

pub(crate) fn error(message: &str, param: Value, code: Value) -> Value {
    let kind = "invalid_request_error";
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

pub(crate) async fn raw(server: &Server, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let (status, headers, text) = call(&server.router, post_request(path, body)).await;
    assert_eq!(headers["content-type"], "application/json");
    (status, serde_json::from_str(&text).unwrap())
}

pub(crate) fn hello(more: Value) -> Value {
    let mut body = json!({"model": "mock", "messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn bodies_that_are_no_json_objects() {
    let server = says("");
    let cases: [(&[u8], &str); 8] = [
        (b"", "The body must be a JSON object."),
        (b"[]", "The body must be a JSON object."),
        (b"\"hi\"", "The body must be a JSON object."),
        (
            b"{\"model\": ",
            "The body is not valid JSON: EOF while parsing a value at line 1 column 10.",
        ),
        (b"{} x", "The body is not valid JSON: trailing characters at line 1 column 4."),
        (b"{'model': 1}", "The body is not valid JSON: key must be a string at line 1 column 2."),
        (b"{\"model\": \"\xff\"}", "The body is not valid UTF-8 at byte 11."),
        (
            b"{\"model\": \"\\ud800\"}",
            "The body is not valid JSON: unexpected end of hex escape at line 1 column 18.",
        ),
    ];
    for (body, message) in cases {
        let answer = raw(&server, CHAT, body.to_vec()).await;
        assert_eq!(answer, (StatusCode::BAD_REQUEST, error(message, Value::Null, Value::Null)));
    }
}

#[tokio::test]
async fn wrong_types_name_their_place() {
    let server = says("");
    let cases = [
        (
            json!({"temperature": "hot"}),
            "temperature",
            "invalid type: string \"hot\", expected f64",
        ),
        (json!({"n": 1.5}), "n", "invalid type: floating point `1.5`, expected i64"),
        (json!({"stream": "yes"}), "stream", "invalid type: string \"yes\", expected a boolean"),
        (
            json!({"speculation": "off"}),
            "speculation",
            "invalid type: string \"off\", expected a boolean",
        ),
        (json!({"stop": [1]}), "stop[0]", "invalid type: integer `1`, expected a string"),
        (json!({"messages": "Hi"}), "messages", "invalid type: string \"Hi\", expected a sequence"),
        (
            json!({"messages": [{"role": "user", "content": 5}]}),
            "messages[0].content",
            "invalid type: integer `5`, expected a string or an array of content parts",
        ),
        (
            json!({"messages": [{"role": "king", "content": ""}]}),
            "messages[0].role",
            "unknown variant `king`, expected one of `system`, `developer`, `user`, `assistant`, \
             `tool`",
        ),
    ];
    for (more, param, problem) in cases {
        let (status, answer) = raw(&server, CHAT, hello(more).to_string()).await;
        let message = format!("Invalid value for '{param}': {problem}.");
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(answer, error(&message, json!(param), Value::Null));
    }
    // A parser's message does not carry a whole prompt back.
    let (_, answer) = raw(&server, CHAT, hello(json!({"n": "x".repeat(5000)})).to_string()).await;
    assert!(answer["error"]["message"].as_str().unwrap().chars().count() <= 401);
}

#[tokio::test]
async fn missing_fields() {
    let server = says("");
    let cases = [
        (json!({"messages": []}), "model"),
        (json!({"model": "mock"}), "messages"),
        (json!({"model": "mock", "messages": [{"content": "a"}]}), "messages[0].role"),
        (json!({"model": "mock", "messages": [{"role": "user"}]}), "messages[0].content"),
        (
            json!({"model": "mock", "messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "messages[0].content[0].text",
        ),
    ];
    for (body, param) in cases {
        let answer = raw(&server, CHAT, body.to_string()).await;
        let message = format!("Missing required parameter: '{param}'.");
        let expected = error(&message, json!(param), Value::Null);
        assert_eq!(answer, (StatusCode::BAD_REQUEST, expected));
    }
    let answer = raw(&server, PLAIN, json!({"model": "mock"}).to_string()).await;
    let expected = error("Missing required parameter: 'prompt'.", json!("prompt"), Value::Null);
    assert_eq!(answer, (StatusCode::BAD_REQUEST, expected));
}

#[tokio::test]
async fn an_unknown_model_and_no_messages() {
    let server = says("");
    let answer = raw(&server, CHAT, hello(json!({"model": "gpt-9"})).to_string()).await;
    let message = "The model `gpt-9` does not exist or you do not have access to it.";
    let expected = error(message, json!("model"), json!("model_not_found"));
    assert_eq!(answer, (StatusCode::NOT_FOUND, expected));
    let answer = raw(&server, CHAT, hello(json!({"messages": []})).to_string()).await;
    let expected = error("'messages' must not be empty.", json!("messages"), Value::Null);
    assert_eq!(answer, (StatusCode::BAD_REQUEST, expected));
}

#[tokio::test]
async fn numbers_out_of_range() {
    let server = says("");
    let many: serde_json::Map<String, Value> =
        (0..301).map(|idx| (idx.to_string(), json!(1))).collect();
    let cases = [
        (json!({"temperature": -0.1}), "temperature", "-0.1 is below the minimum of 0"),
        (
            json!({"temperature": 1e308}),
            "temperature",
            "'temperature': it is above the maximum of 2.",
        ),
        (json!({"top_p": 0}), "top_p", "'top_p': 0 is not above 0."),
        (json!({"top_p": -1}), "top_p", "-1 is not above 0"),
        (json!({"top_p": 1.01}), "top_p", "1.01 is above the maximum of 1"),
        (json!({"top_k": -2}), "top_k", "-2 is below the minimum of -1"),
        (json!({"min_p": 2}), "min_p", "2 is above the maximum of 1"),
        (json!({"repetition_penalty": 1e-38}), "repetition_penalty", "below the minimum of 0.01"),
        (json!({"repetition_penalty": 101}), "repetition_penalty", "above the maximum of 100"),
        (json!({"presence_penalty": 2.5}), "presence_penalty", "2.5 is above the maximum of 2"),
        (json!({"frequency_penalty": -3}), "frequency_penalty", "-3 is below the minimum of -2"),
        (json!({"n": 0}), "n", "0 is below the minimum of 1"),
        (json!({"n": 129}), "n", "129 is above the maximum of 128"),
        (json!({"max_tokens": -1}), "max_tokens", "-1 is below the minimum of 0"),
        (json!({"max_tokens": 0}), "max_tokens", "must be at least 1"),
        (json!({"max_completion_tokens": -7}), "max_completion_tokens", "-7 is below"),
        (json!({"max_completion_tokens": 0}), "max_completion_tokens", "must be at least 1"),
        (
            json!({"max_tokens": 3, "min_tokens": 4}),
            "min_tokens",
            "4, more than 'max_tokens', which is 3",
        ),
        (json!({"min_tokens": 99_999_999_999_i64}), "min_tokens", "above the maximum"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop", "has 5 entries, the limit is 4"),
        (json!({"stop": "a".repeat(1025)}), "stop", "longer than 1024 bytes"),
        (json!({"stop_token_ids": [260]}), "stop_token_ids", "260"),
        (json!({"logit_bias": many}), "logit_bias", "has 301 entries, the limit is 300"),
        (json!({"logit_bias": {"a": 1}}), "logit_bias", "'a' is not a token id below 260"),
        (json!({"logit_bias": {"260": 1}}), "logit_bias", "'260' is not a token id below 260"),
        (json!({"logit_bias": {"1": 101}}), "logit_bias", "101 is above the maximum of 100"),
        (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs", "21 is above"),
        (json!({"top_logprobs": 2}), "top_logprobs", "needs 'logprobs' to be true"),
        (json!({"stream_options": {}}), "stream_options", "only allowed when 'stream' is true"),
    ];
    for (more, param, problem) in cases {
        let (status, answer) = raw(&server, CHAT, hello(more.clone()).to_string()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{more}");
        assert_eq!(answer["error"]["param"], param, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(problem), "{answer}");
    }
}

#[tokio::test]
async fn a_field_that_is_there_twice_is_named() {
    let server = says("");
    let cases = [
        (r#"{"model": "mock", "n": 1, "n": 2, "messages": []}"#, "n"),
        (
            r#"{"model": "mock", "messages": [{"role": "user", "role": "user"}]}"#,
            "messages[0].role",
        ),
    ];
    for (body, param) in cases {
        let field = param.rsplit('.').next().unwrap();
        let message = format!("Invalid value for '{param}': duplicate field `{field}`.");
        let expected = error(&message, json!(param), Value::Null);
        assert_eq!(raw(&server, CHAT, body).await, (StatusCode::BAD_REQUEST, expected));
    }
}

#[tokio::test]
async fn options_that_this_server_does_not_have() {
    let server = says("");
    let image = json!([{"type": "image_url", "image_url": {"url": "data:"}}]);
    let cases = [
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"audio": {"voice": "x"}}), "audio"),
        (json!({"functions": [{}]}), "functions"),
        (
            json!({"messages": [{"role": "user", "content": image}]}),
            "messages[0].content[0].image_url.url",
        ),
    ];
    for (more, param) in cases {
        let (status, answer) = raw(&server, CHAT, hello(more).to_string()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(answer["error"]["param"], param, "{answer}");
        assert_eq!(answer["error"]["code"], "unsupported_parameter");
    }
    for (more, param) in [(json!({"suffix": "z"}), "suffix"), (json!({"best_of": 2}), "best_of")] {
        let mut body = json!({"model": "mock", "prompt": "a"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, answer) = raw(&server, PLAIN, body.to_string()).await;
        assert_eq!((status, &answer["error"]["param"]), (StatusCode::BAD_REQUEST, &json!(param)));
    }
}

#[tokio::test]
async fn prompts_that_cannot_run() {
    let server = says("");
    let body = |prompt: Value, more: Value| {
        let mut body = json!({"model": "mock", "prompt": prompt});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let cases = [
        (
            body(json!("a".repeat(600)), json!({})),
            "This model's maximum context length is 512 tokens. However, your prompt resulted in \
             601 tokens. Please reduce the length of the prompt or completion.",
        ),
        (
            body(json!("abc"), json!({"max_tokens": 510})),
            "This model's maximum context length is 512 tokens. However, you requested 514 tokens \
             (4 in the prompt, 510 in the completion). Please reduce the length of the prompt or \
             completion.",
        ),
    ];
    for (body, message) in cases {
        let expected = error(message, json!("prompt"), json!("context_length_exceeded"));
        assert_eq!(raw(&server, PLAIN, body).await, (StatusCode::BAD_REQUEST, expected));
    }
    let cases = [
        (body(json!([]), json!({})), "prompt"),
        (body(json!([[]]), json!({})), "prompt"),
        (body(json!([260]), json!({})), "prompt"),
        (body(json!(vec!["a"; 129]), json!({"n": 2})), "prompt"),
        (body(json!("a"), json!({"max_tokens": 0})), "max_tokens"),
        (body(json!("a"), json!({"logprobs": 21})), "logprobs"),
        (body(json!(["a", 1]), json!({})), "prompt[1]"),
    ];
    for (body, param) in cases {
        let (status, answer) = raw(&server, PLAIN, body).await;
        assert_eq!((status, &answer["error"]["param"]), (StatusCode::BAD_REQUEST, &json!(param)));
    }
}

#[tokio::test]
async fn other_content_types_paths_and_methods() {
    let server = says("ok");
    let typed = |mime: &str| {
        let request = Request::post(CHAT).header("content-type", mime);
        request.body(Body::from(hello(json!({})).to_string())).unwrap()
    };
    for mime in ["application/json; charset=utf-8", "application/x-www-form-urlencoded"] {
        assert_eq!(call(&server.router, typed(mime)).await.0, StatusCode::OK);
    }
    let (status, _, text) = call(&server.router, typed("multipart/form-data")).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(text.contains("unsupported_media_type"));

    let request = |method: Method, path: &str| {
        Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
    };
    let (status, _, text) = call(&server.router, request(Method::GET, "/v1/nothing")).await;
    let expected =
        error("Unknown request URL: GET /v1/nothing.", Value::Null, json!("unknown_url"));
    assert_eq!((status, serde_json::from_str(&text).unwrap()), (StatusCode::NOT_FOUND, expected));
    let (status, headers, text) = call(&server.router, request(Method::GET, PLAIN)).await;
    let message = "Not allowed to GET on /v1/completions.";
    let expected = error(message, Value::Null, json!("method_not_allowed"));
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    assert_eq!(headers["allow"], "POST");
    let (status, _, text) = call(&server.router, request(Method::HEAD, "/v1/models")).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, ""));
}
