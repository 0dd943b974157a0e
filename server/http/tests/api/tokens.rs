//! Tokens of texts and back.

use axum::http::StatusCode;
use serde_json::{Value, json};
use server_http::{AppState, router};

use crate::common::{MAX_MODEL_LEN, get, post, says};

#[tokio::test]
async fn a_text_becomes_tokens_in_vllms_form() {
    let server = says("");
    let body = json!({"model": "mock", "prompt": "aé"});
    let (status, answer) = post(&server.router, "/tokenize", body).await;
    let expected = json!({
        "count": 4, "max_model_len": MAX_MODEL_LEN, "tokens": [256, 97, 195, 169],
        "token_strs": null,
    });
    assert_eq!((status, answer), (StatusCode::OK, expected));

    let body = json!({"model": "mock", "prompt": "ab", "add_special_tokens": false,
        "return_token_strs": true});
    let (_, answer) = post(&server.router, "/tokenize", body).await;
    assert_eq!((&answer["tokens"], &answer["token_strs"]), (&json!([97, 98]), &json!(["a", "b"])));
}

#[tokio::test]
async fn a_chat_becomes_the_tokens_that_a_completion_counts() {
    let server = says("ok");
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let body = json!({"model": "mock", "messages": messages});
    let (_, tokens) = post(&server.router, "/tokenize", body.clone()).await;
    let (_, answer) = post(&server.router, "/v1/chat/completions", body).await;
    assert_eq!(tokens["count"], answer["usage"]["prompt_tokens"]);
    let body = json!({"model": "mock", "messages": messages, "add_generation_prompt": false});
    let (_, closed) = post(&server.router, "/tokenize", body).await;
    assert!(closed["count"].as_u64() < tokens["count"].as_u64());
}

#[tokio::test]
async fn tokens_become_the_text_again() {
    let server = says("");
    let body = json!({"model": "mock", "tokens": [256, 97, 195, 169]});
    let (status, answer) = post(&server.router, "/detokenize", body).await;
    assert_eq!((status, answer), (StatusCode::OK, json!({"prompt": "<bos>aé"})));
}

#[tokio::test]
async fn a_large_text_is_tokenized_away_from_the_async_threads() {
    let server = says("");
    let prompt = "word ".repeat(20_000);
    let body = json!({"model": "mock", "prompt": prompt});
    let (status, answer) = post(&server.router, "/tokenize", body).await;
    assert_eq!((status, &answer["count"]), (StatusCode::OK, &json!(100_001)));
}

#[tokio::test]
async fn the_model_may_be_left_out_where_there_is_one() {
    let server = says("");
    let body = json!({"prompt": "a", "add_special_tokens": false});
    let (status, answer) = post(&server.router, "/tokenize", body.clone()).await;
    assert_eq!((status, &answer["tokens"]), (StatusCode::OK, &json!([97])));
    let tokens = json!({"tokens": [97]});
    let (status, answer) = post(&server.router, "/detokenize", tokens.clone()).await;
    assert_eq!((status, &answer["prompt"]), (StatusCode::OK, &json!("a")));

    let two = AppState::builder().loading("a").loading("b").build();
    for (path, body) in [("/tokenize", body), ("/detokenize", tokens)] {
        let (status, answer) = post(&router(two.clone()), path, body).await;
        assert_eq!((status, &answer["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("model")));
    }
}

#[tokio::test]
async fn bad_requests_name_their_field() {
    let server = says("");
    let cases = [
        ("/tokenize", json!({"model": "mock"}), "prompt"),
        ("/tokenize", json!({"model": "mock", "prompt": "a", "messages": []}), "prompt"),
        ("/tokenize", json!({"model": "mock", "messages": []}), "messages"),
        ("/detokenize", json!({"model": "mock", "tokens": [260]}), "tokens"),
        ("/detokenize", json!({"model": "mock", "tokens": [1, -1]}), "tokens[1]"),
    ];
    for (path, body, param) in cases {
        let (status, answer) = post(&server.router, path, body).await;
        assert_eq!((status, &answer["error"]["param"]), (StatusCode::BAD_REQUEST, &json!(param)));
    }
}

#[tokio::test]
async fn the_tokenizer_tells_what_clients_count_with() {
    let server = says("");
    let (status, _, text) = get(&server.router, "/tokenizer_info").await;
    let info: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({"model": "mock", "bos_token": "<bos>", "eos_token": "<eos>",
        "vocab_size": 260, "model_max_length": MAX_MODEL_LEN});
    assert_eq!((status, info), (StatusCode::OK, expected));
    // Of several it cannot tell which is meant.
    let two = AppState::builder().loading("a").loading("b").build();
    let (status, _, _) = get(&router(two), "/tokenizer_info").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
