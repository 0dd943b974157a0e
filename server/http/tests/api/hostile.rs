//! Input made to hurt: a clear refusal each, in either API's shape.

use std::future::pending;

use axum::http::StatusCode;
use engine_mock::MockModel;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::bad_input::{CHAT, raw};
use crate::common::{EOS, roomy, says, until_idle};
use crate::socket::{listen, read_all};

const MESSAGES: &str = "/v1/messages";
/// What is no image in any encoding.
const RUBBISH: &str = "!!!not base64 \u{0}\u{7f}====%%%";

async fn refused(path: &str, messages: Value) -> Value {
    let server = roomy(MockModel::scripted("ok", EOS));
    let body = json!({"model": "mock", "max_tokens": 4, "messages": messages});
    let (status, answer) = raw(&server, path, body.to_string()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    match path {
        MESSAGES => {
            assert_eq!(answer["type"], "error");
            assert_eq!(answer["error"]["type"], "invalid_request_error");
        }
        _ => assert_eq!(answer["error"]["type"], "invalid_request_error"),
    }
    // Nothing was left behind, and the next is answered.
    until_idle(&server.handle).await;
    let body = json!({"model": "mock", "max_tokens": 4,
        "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(raw(&server, path, body.to_string()).await.0, StatusCode::OK);
    answer["error"].clone()
}

#[tokio::test]
async fn ten_thousand_messages() {
    let many: Vec<Value> = (0..10_000)
        .map(|idx| {
            let role = if idx % 2 == 0 { "user" } else { "assistant" };
            json!({"role": role, "content": "Hi"})
        })
        .collect();
    for path in [CHAT, MESSAGES] {
        let error = refused(path, json!(many)).await;
        assert!(error["message"].as_str().unwrap().contains("maximum context length"), "{error}");
    }
    let empty = vec![json!({"role": "user", "content": ""}); 10_000];
    for path in [CHAT, MESSAGES] {
        refused(path, json!(empty)).await;
    }
}

#[tokio::test]
async fn results_of_calls_that_nobody_made() {
    let result = json!({"role": "tool", "tool_call_id": "call_x", "content": "1"});
    let user = json!({"role": "user", "content": "Hi"});
    for messages in [json!([result]), json!([user, result]), json!([user, result, result])] {
        let error = refused(CHAT, messages).await;
        assert!(error["param"].as_str().unwrap().ends_with(".tool_call_id"), "{error}");
    }
    let many = vec![result.clone(); 5000];
    refused(CHAT, json!(many)).await;
    let block = json!({"type": "tool_result", "tool_use_id": "toolu_x", "content": "1"});
    let error = refused(MESSAGES, json!([{"role": "user", "content": [block]}])).await;
    assert!(error["message"].as_str().unwrap().contains("toolu_x"), "{error}");
}

#[tokio::test]
async fn rubbish_where_images_sounds_and_files_go() {
    let address = format!("data:image/png;base64,{RUBBISH}");
    for (image, field) in
        [(json!({"url": address}), "image_url.url"), (json!(RUBBISH), "image_url")]
    {
        let part = json!({"type": "image_url", "image_url": image});
        let error = refused(CHAT, json!([{"role": "user", "content": [part]}])).await;
        assert_eq!(error["param"], format!("messages[0].content[0].{field}"));
    }
    let parts = [
        json!({"type": "input_audio", "input_audio": {"data": RUBBISH, "format": "wav"}}),
        json!({"type": "file", "file": {"file_data": RUBBISH}}),
    ];
    for part in parts {
        let text = json!({"type": "text", "text": "See"});
        let error = refused(CHAT, json!([{"role": "user", "content": [text, part]}])).await;
        assert_eq!(error["param"], "messages[0].content[1].type");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part["type"].as_str().unwrap()), "{message}");
        assert!(!message.contains("base64"), "{message}");
    }
    let source = json!({"type": "base64", "media_type": "image/png", "data": RUBBISH});
    for kind in ["image", "document"] {
        let content = json!([{"type": kind, "source": source}]);
        let error = refused(MESSAGES, json!([{"role": "user", "content": content}])).await;
        assert!(error["message"].as_str().unwrap().contains(kind), "{error}");
        let result = json!({"type": "tool_result", "tool_use_id": "a", "content": content});
        refused(MESSAGES, json!([{"role": "user", "content": [result]}])).await;
    }
}

/// The answer to a request with these headers.
async fn with_headers(path: &str, headers: &str) -> String {
    let server = says("");
    let (address, _serving) = listen(&server, pending()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    socket.write_all((head + headers + "\r\n").as_bytes()).await.unwrap();
    read_all(socket).await
}

#[tokio::test]
async fn more_headers_than_anyone_needs() {
    let many = (0..101).fold(String::new(), |head, idx| head + &format!("x-{idx}: a\r\n"));
    let long = format!("x-a: {}\r\n", "a".repeat(70 << 10));
    for (headers, says) in [(many, "at most 100"), (long, "at most 65536")] {
        for (path, shape) in [
            (CHAT, r#""code":"headers_too_large""#),
            (MESSAGES, r#""type":"error""#),
            ("/model/mock/converse", "x-amzn-errortype: ValidationException"),
            ("/nowhere", r#""code":"headers_too_large""#),
        ] {
            let text = with_headers(path, &headers).await;
            assert!(text.starts_with("HTTP/1.1 431"), "{path}: {text}");
            assert!(text.contains(says) && text.contains(shape), "{path}: {text}");
        }
    }
    let few = (0..90).fold(String::new(), |head, idx| head + &format!("x-{idx}: a\r\n"));
    assert!(with_headers("/nowhere", &few).await.starts_with("HTTP/1.1 404"));
}

/// What is far more than that is not even read.
#[tokio::test]
async fn a_flood_of_headers() {
    let flood = (0..500).fold(String::new(), |head, idx| head + &format!("x-{idx}: a\r\n"));
    let text = with_headers(CHAT, &flood).await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
}
