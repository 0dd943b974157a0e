//! What scored tokens are called, where their texts do not tell them apart.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::common::{Server, events, post, says};

const CHAT: &str = "/v1/chat/completions";
const PLAIN: &str = "/v1/completions";
/// Enough positions that parts of characters are among the likeliest of some.
const SAID: &str = "Ça coûte 20 € là-bas : « très cher », dit-il.";
const NUM_TOP: usize = 20;

async fn chat(server: &Server, more: Value) -> Vec<Value> {
    let mut body = json!({"model": "mock", "messages": [{"role": "user", "content": "a"}],
        "logprobs": true, "top_logprobs": NUM_TOP});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, answer) = post(&server.router, CHAT, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["choices"][0]["logprobs"]["content"].as_array().unwrap().clone()
}

fn plain(more: &Value) -> Value {
    let mut body =
        json!({"model": "mock", "prompt": "a", "logprobs": NUM_TOP, "max_tokens": SAID.len()});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn completion(server: &Server, more: Value) -> Value {
    let (status, answer) = post(&server.router, PLAIN, plain(&more)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["choices"][0]["logprobs"].clone()
}

/// The chosen tokens of a completion, each with the names of the likeliest.
fn named(logprobs: &Value) -> Vec<(String, BTreeSet<String>)> {
    let tops = logprobs["top_logprobs"].as_array().unwrap();
    let tokens = logprobs["tokens"].as_array().unwrap().iter().zip(tops);
    let named = tokens.map(|(token, top)| {
        let names = top.as_object().unwrap().keys().cloned().collect();
        (token.as_str().unwrap().to_owned(), names)
    });
    named.collect()
}

#[tokio::test]
async fn a_chat_tells_all_of_the_likeliest_with_their_bytes() {
    let entries = chat(&says(SAID), json!({})).await;
    assert_eq!(entries.len(), SAID.len());
    let mut num_alike = 0;
    for entry in &entries {
        let top = entry["top_logprobs"].as_array().unwrap();
        let bytes: BTreeSet<String> = top.iter().map(|one| one["bytes"].to_string()).collect();
        assert_eq!((top.len(), bytes.len()), (NUM_TOP, NUM_TOP), "{entry}");
        num_alike += usize::from(top.iter().filter(|one| one["token"] == "\u{fffd}").count() > 1);
    }
    assert!(num_alike > 0, "some have the same text");
}

#[tokio::test]
async fn a_completion_keeps_the_likeliest_apart_that_are_no_texts() {
    let logprobs = completion(&says(SAID), json!({})).await;
    let named = named(&logprobs);
    assert_eq!(named.len(), SAID.len());
    for (idx, (token, names)) in named.iter().enumerate() {
        // The chosen one need not be among the likeliest.
        assert!((NUM_TOP..=NUM_TOP + 1).contains(&names.len()), "{names:?}");
        assert!(names.contains(token), "{token} in {names:?}");
        // In this vocabulary a token is a byte.
        let byte = SAID.as_bytes()[idx];
        let told =
            if byte.is_ascii() { (byte as char).into() } else { format!("bytes:\\x{byte:x}") };
        assert_eq!(token, &told);
    }
    let mut names = named.iter().flat_map(|(_, names)| names);
    assert!(names.all(|name| !name.contains('\u{fffd}')));
}

#[tokio::test]
async fn tokens_are_called_by_their_ids_where_that_is_asked_for() {
    let server = says("aé");
    let asked = json!({"return_tokens_as_token_ids": true});
    let ids = ["token_id:97", "token_id:195", "token_id:169"];
    let entries = chat(&server, asked.clone()).await;
    let tokens: Vec<&Value> = entries.iter().map(|entry| &entry["token"]).collect();
    assert_eq!(tokens, ids);
    for (entry, byte) in entries.iter().zip("aé".bytes()) {
        assert_eq!(entry["bytes"], json!([byte]));
        for one in entry["top_logprobs"].as_array().unwrap() {
            let id = one["token"].as_str().unwrap().strip_prefix("token_id:").unwrap();
            let id: u32 = id.parse().unwrap();
            assert!(id > 255 || one["bytes"] == json!([id]), "{one}");
        }
    }
    let logprobs = completion(&server, asked).await;
    assert_eq!(logprobs["text_offset"], json!([0, 1, 1]));
    let named = named(&logprobs);
    assert_eq!(named.iter().map(|(token, _)| token).collect::<Vec<_>>(), ids);
    assert!(named.iter().all(|(token, names)| names.contains(token)));
    assert!(named.iter().flat_map(|(_, names)| names).all(|name| name.starts_with("token_id:")));
    let body = plain(&json!({"return_tokens_as_token_ids": true, "stream": true}));
    let events = events(&server.router, PLAIN, body).await;
    let streamed = events.iter().flat_map(|event| {
        event["choices"][0]["logprobs"]["tokens"].as_array().cloned().unwrap_or_default()
    });
    assert_eq!(streamed.collect::<Vec<_>>(), ids);
    // By their texts it stays, where it is not.
    let entries = chat(&server, json!({"return_tokens_as_token_ids": false})).await;
    assert_eq!(entries[0]["token"], "a");
    let body = plain(&json!({"return_tokens_as_token_ids": "yes"}));
    let (status, answer) = post(&server.router, PLAIN, body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["error"]["param"], "return_tokens_as_token_ids");
}
