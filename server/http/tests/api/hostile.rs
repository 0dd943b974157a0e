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
    let parts = [
        json!({"type": "image_url", "image_url": {"url": address}}),
        json!({"type": "image_url", "image_url": RUBBISH}),
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

#[tokio::test]
async fn more_headers_than_anyone_needs() {
    let server = says("");
    let (address, _serving) = listen(&server, pending()).await;
    let mut head = "GET /health HTTP/1.1\r\nhost: localhost\r\n".to_owned();
    for idx in 0..101 {
        head += &format!("x-{idx}: a\r\n");
    }
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all((head + "\r\n").as_bytes()).await.unwrap();
    let text = read_all(socket).await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
}
