//! Options of others that this server does not have.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::common::{post, says};

const CHAT: &str = "/v1/chat/completions";
const PLAIN: &str = "/v1/completions";

fn ask(path: &str, field: &str, value: &Value) -> Value {
    let mut body = match path {
        PLAIN => json!({"model": "mock", "prompt": "a"}),
        _ => json!({"model": "mock", "messages": [{"role": "user", "content": "a"}]}),
    };
    if path == "/v1/messages" {
        body["max_tokens"] = json!(3);
    }
    body[field] = value.clone();
    body
}

#[tokio::test]
async fn what_would_change_the_answer_is_refused_by_name() {
    let server = says("ok");
    for (field, value, none) in [
        ("allowed_token_ids", json!([1]), json!([])),
        ("bad_words", json!(["a"]), json!([])),
        ("logits_processors", json!(["a"]), Value::Null),
        ("use_beam_search", json!(true), json!(false)),
        ("guided_whitespace_pattern", json!(" ?"), Value::Null),
        ("truncate_prompt_tokens", json!(1), Value::Null),
        ("prompt_embeds", json!("AAAA"), Value::Null),
        ("chat_template", json!("{{ x }}"), json!("")),
        ("documents", json!([{"text": "a"}]), json!([])),
        ("prompt_logprobs", json!(0), Value::Null),
        ("return_token_ids", json!(true), json!(false)),
    ] {
        for path in [CHAT, PLAIN] {
            let (status, answer) = post(&server.router, path, ask(path, field, &value)).await;
            let error = &answer["error"];
            assert_eq!((status, &error["param"]), (StatusCode::BAD_REQUEST, &json!(field)));
            assert_eq!(error["code"], "unsupported_parameter");
            // What asks for nothing is not missed.
            let (status, answer) = post(&server.router, path, ask(path, field, &none)).await;
            assert_eq!(status, StatusCode::OK, "{field}: {answer}");
        }
    }
}

#[tokio::test]
async fn an_older_name_of_a_form_is_refused_with_the_newer() {
    let server = says("ok");
    let form = json!({"type": "json_schema", "schema": {"type": "object"}});
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        let body = ask("/v1/messages", "output_format", &form);
        let (status, answer) = post(&server.router, path, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("'output_format'"), "{message}");
        assert!(message.contains("'output_config.format'"), "{message}");
        let body = ask("/v1/messages", "output_format", &Value::Null);
        assert_eq!(post(&server.router, path, body).await.0, StatusCode::OK);
    }
}
