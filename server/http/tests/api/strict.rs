//! Tools whose arguments must fit their schema, in the requests of Anthropic and AWS.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::bedrock;
use crate::common::{Server, post};
use crate::tools::says;

/// A model that calls for a city that the schema has not.
fn calling() -> Server {
    let call = "{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}";
    says(&format!("I look.\n<tool_call>\n{call}\n</tool_call>"))
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"city": {"enum": ["Köln"]}},
        "required": ["city"], "additionalProperties": false})
}

/// One with a keyword that cannot be honoured and only narrows it.
fn narrow() -> Value {
    json!({"type": "object", "uniqueItems": true})
}

/// What `strict` says, and which cities are called for then.
const CASES: [(Option<bool>, &str); 3] =
    [(None, "Oslo"), (Some(false), "Oslo"), (Some(true), "Köln")];

#[tokio::test]
async fn tools_of_messages_may_be_strict() {
    let server = calling();
    for (strict, city) in CASES {
        let tool = json!({"name": "weather", "input_schema": schema(), "strict": strict});
        let body = json!({"model": "mock", "max_tokens": 300, "tools": [tool],
            "messages": [{"role": "user", "content": "hello"}]});
        let (status, answer) = post(&server.router, "/v1/messages", body.clone()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["content"][0]["text"], "I look.");
        assert_eq!(answer["content"][1]["input"], json!({"city": city}), "{answer}");
        // Invoked on Bedrock it is the same.
        let mut invoked = body;
        invoked["anthropic_version"] = "bedrock-2023-05-31".into();
        let (_, _, answer) = bedrock::post(&server, "invoke", &invoked).await;
        assert_eq!(answer["content"][1]["input"], json!({"city": city}), "{answer}");
    }
    let bad = json!({"name": "weather", "strict": true, "input_schema": narrow()});
    for (tool, says) in [
        (bad, "tools[0].input_schema"),
        (json!({"name": "weather", "strict": "yes"}), "tools[0].strict"),
    ] {
        let body = json!({"model": "mock", "max_tokens": 300, "tools": [tool],
            "messages": [{"role": "user", "content": "hello"}]});
        let (status, answer) = post(&server.router, "/v1/messages", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(says), "{answer}");
    }
}

#[tokio::test]
async fn tools_of_converse_may_be_strict() {
    let server = calling();
    let body =
        |spec: Value| bedrock::converse(json!({"toolConfig": {"tools": [{"toolSpec": spec}]}}));
    for (strict, city) in CASES {
        let spec = json!({"name": "weather", "inputSchema": {"json": schema()}, "strict": strict});
        let (status, _, answer) = bedrock::post(&server, "converse", &body(spec)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let content = &answer["output"]["message"]["content"];
        assert_eq!(content[1]["toolUse"]["input"], json!({"city": city}), "{answer}");
    }
    let spec = json!({"name": "weather", "inputSchema": {"json": narrow()}, "strict": true});
    let (status, _, answer) = bedrock::post(&server, "converse", &body(spec)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let field = "toolConfig.tools[0].toolSpec.inputSchema.json";
    assert!(answer["message"].as_str().unwrap().contains(field), "{answer}");
}
