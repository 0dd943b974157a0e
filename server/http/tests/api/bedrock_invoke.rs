//! Bedrock's models, invoked in the forms of their makers.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::bedrock::{post, says, stream};
use crate::common::Server;

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
