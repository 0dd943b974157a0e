//! What would take too much: of memory, of work, of the queue; and an engine that fails.

use std::sync::Arc;

use axum::http::StatusCode;
use engine_mock::{Fault, MockEngine, MockModel};
use engine_text::TextModel;
use scheduler_batching::PlannerConfig;
use serde_json::{Value, json};
use server_http::{AppState, HttpLimits, Metrics, router};

use crate::bad_input::{CHAT, PLAIN, error, hello, raw};
use crate::common::{
    LIMITS, Server, endless, post, post_request, says, served, server_with, until_idle,
    until_running,
};

#[tokio::test]
async fn json_that_is_nested_for_ever() {
    let server = says("");
    let bomb = |open: &str, close: &str| open.repeat(100_000) + "1" + &close.repeat(100_000);
    for bomb in [bomb("[", "]"), bomb("{\"a\":", "}"), "[".repeat(100_000)] {
        for field in ["messages", "chat_template_kwargs", "ignored", "tools", "logit_bias"] {
            let body = format!("{{\"model\": \"mock\", \"{field}\": {bomb}}}");
            let (status, answer) = raw(&server, CHAT, body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST);
            assert_eq!(answer["error"]["message"], "The body is nested deeper than 128 levels.");
        }
    }
}

#[tokio::test]
async fn an_answer_that_could_fill_the_memory() {
    let limits = HttpLimits { max_answer_entries: 2 * 10 * (1 + 4), ..HttpLimits::default() };
    let server = server_with(MockModel::default(), PlannerConfig::default(), limits);
    let chat = |n: u32, max_tokens: u32, top: u32| {
        hello(json!({"n": n, "max_tokens": max_tokens, "logprobs": true, "top_logprobs": top}))
    };
    assert_eq!(raw(&server, CHAT, chat(2, 10, 4).to_string()).await.0, StatusCode::OK);
    let long = hello(json!({"max_completion_tokens": 101}));
    let cases = [
        (chat(3, 10, 4), "n"),
        (chat(1, 21, 4), "max_tokens"),
        (chat(2, 10, 5), "n"),
        (long, "max_completion_tokens"),
    ];
    for (body, param) in cases {
        let (status, answer) = raw(&server, CHAT, body.to_string()).await;
        assert_eq!((status, &answer["error"]["param"]), (StatusCode::BAD_REQUEST, &json!(param)));
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("the limit is 100"), "{message}");
    }
    // Prompts count together, and where they are echoed with scores so do their tokens.
    let plain = |more: Value| {
        let mut body = json!({"model": "mock", "prompt": ["aaaaaaaaa", "aaaaaaaaa"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let options = json!({"max_tokens": 5, "logprobs": 4, "echo": false});
    assert_eq!(raw(&server, PLAIN, plain(options)).await.0, StatusCode::OK);
    let options = json!({"max_tokens": 5, "logprobs": 4, "echo": true});
    let (status, answer) = raw(&server, PLAIN, plain(options)).await;
    assert_eq!(
        (status, &answer["error"]["param"]),
        (StatusCode::BAD_REQUEST, &json!("max_tokens"))
    );
}

#[tokio::test]
async fn a_template_that_loops_is_stopped_and_named() {
    let template = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    for template in [template, "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"] {
        let metrics = Metrics::new();
        let engine = MockEngine::new(LIMITS, MockModel::default());
        let mut model = served("mock", engine, PlannerConfig::default(), &metrics);
        model.text = Arc::new(TextModel::byte_level_with(template).unwrap());
        let handle = model.handle.clone();
        let state = AppState::builder().model(model).build();
        let server = Server { router: router(state.clone()), state, handle };
        for path in [CHAT, "/tokenize"] {
            let (status, answer) = raw(&server, path, hello(json!({})).to_string()).await;
            let message = answer["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.starts_with("chat template: "), "{message}");
            let expected = error(&message, json!("messages"), Value::Null);
            assert_eq!((status, answer), (StatusCode::BAD_REQUEST, expected));
        }
        assert_eq!(server.handle.stats().prompt_tokens, 0);
    }
}

#[tokio::test]
async fn prompts_that_are_too_long_to_tokenize() {
    let server = says("");
    let chat = |text: &str| {
        let messages = json!([{"role": "user", "content": text}]);
        json!({"model": "mock", "messages": messages}).to_string()
    };
    let plain = |text: &str| json!({"model": "mock", "prompt": text}).to_string();
    let (run, long) = ("a".repeat(300_000), "a ".repeat(5 << 19));
    // The longest token has 12 bytes.
    let cases = [
        (PLAIN, plain(&run), "prompt", "300000 bytes", 25_000),
        (CHAT, chat(&run), "messages", "300050 bytes", 25_005),
        (PLAIN, plain(&long), "prompt", "5242880 bytes", 436_907),
        (CHAT, chat(&long), "messages", "more than 4194304 bytes", 349_526),
    ];
    for (path, body, field, size, tokens) in cases {
        let message = format!(
            "This model's maximum context length is 512 tokens. However, your {field} resulted in \
             {size} of text, which are at least {tokens} tokens. Please reduce the length of the \
             {field}."
        );
        let expected = error(&message, json!(field), json!("context_length_exceeded"));
        assert_eq!(raw(&server, path, body).await, (StatusCode::BAD_REQUEST, expected));
    }
    // Where no context is asked for, the limit itself is named.
    let cases =
        [(plain(&run), "200000 characters"), (plain(&long), "4194304"), (chat(&long), "4194304")];
    for (body, limit) in cases {
        let (status, answer) = raw(&server, "/tokenize", body).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(status == StatusCode::BAD_REQUEST && message.contains(limit), "{message}");
        assert_ne!(answer["error"]["code"], "context_length_exceeded");
    }
}

#[tokio::test]
async fn a_body_over_the_limit() {
    let server = says("");
    let limit = HttpLimits::default().max_body_bytes;
    let body = hello(json!({"user": "x".repeat(100 << 20)})).to_string();
    let answer = raw(&server, CHAT, body).await;
    let message = format!("The body is larger than the limit of {limit} bytes.");
    let expected = error(&message, Value::Null, json!("request_too_large"));
    assert_eq!(answer, (StatusCode::PAYLOAD_TOO_LARGE, expected));
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let config = PlannerConfig { max_waiting: 1, max_running_seqs: 1, ..PlannerConfig::default() };
    let server = server_with(endless(), config, HttpLimits::default());
    let body = hello(json!({"ignore_eos": true, "stream": true})).to_string();
    // The streams hold their places until they are dropped.
    let open = || async {
        use tower::ServiceExt;
        let request = post_request(CHAT, body.clone());
        server.router.clone().oneshot(request).await.unwrap()
    };
    let running = open().await;
    until_running(&server.handle, 1).await;
    let waiting = open().await;
    let refused = open().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    let (_, answer) = post(&server.router, CHAT, serde_json::from_str(&body).unwrap()).await;
    let expected = json!({"error": {
        "message": "The queue is full: 1 requests are waiting. Retry later.",
        "type": "service_unavailable_error", "param": null, "code": "queue_full",
    }});
    assert_eq!(answer, expected);
    drop((running, waiting));
    until_idle(&server.handle).await;
}

#[tokio::test]
async fn an_engine_that_panics_is_an_error_and_not_the_end() {
    let server = crate::common::faulty(MockModel::scripted("ok", 257), 0, Fault::Panic);
    let (status, answer) = raw(&server, CHAT, hello(json!({})).to_string()).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer["error"]["type"], "server_error");
    let (status, _) = raw(&server, CHAT, hello(json!({})).to_string()).await;
    assert_eq!(status, StatusCode::OK);
}
