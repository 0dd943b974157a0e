//! Before generation.

use axum::http::StatusCode;
use serde_json::{Value, json};
use server_guard::Action;

use super::{CHAT, MASKED, MESSAGES, PLAIN, SAID, asked, chat, choices, deny, pii, plain, with};
use crate::common::{Server, call, post, post_request};

#[tokio::test]
async fn what_is_asked_is_refused_before_it_is_generated_from() {
    let server = asked(vec![deny(Action::Stop), pii(Action::Stop)]);
    let user = json!({"role": "user", "content": "hello"});
    let calls = |arguments: &str| {
        json!([user, {"role": "assistant", "tool_calls": [{"id": "x", "type": "function",
            "function": {"name": "f", "arguments": arguments}}]},
            {"role": "tool", "tool_call_id": "x", "content": "a bad cat"}])
    };
    let parts = |texts: &[&str]| {
        let parts = texts.iter().map(|text| json!({"type": "text", "text": text}));
        json!([{"role": "user", "content": parts.collect::<Vec<_>>()}])
    };
    let thought = json!([user, {"role": "assistant", "content": "x", "reasoning_content": "xyzzy"},
        user]);
    let tool = json!([{"type": "function", "function": {"name": "f", "description": "xyzzy"}}]);
    for (path, more, param) in [
        (CHAT, json!({"messages": [{"role": "user", "content": "Xyzzy"}]}), "messages[0].content"),
        (
            CHAT,
            json!({"messages": [{"role": "system", "content": "a BAD cat"}, user]}),
            "messages[0].content",
        ),
        (
            CHAT,
            json!({"messages": [user, {"role": "developer", "content": "ann@example.com"}]}),
            "messages[1].content",
        ),
        (CHAT, json!({"messages": calls("{}")}), "messages[2].content"),
        (
            CHAT,
            json!({"messages": calls("{\"a\": \"\\nann@example.com\"}")}),
            "messages[1].tool_calls",
        ),
        (CHAT, json!({"messages": parts(&["x", "xyzzy"])}), "messages[0].content[1].text"),
        (CHAT, json!({"messages": parts(&["a bad ", "cat"])}), "messages[0].content"),
        (CHAT, json!({"messages": thought}), "messages[1].reasoning_content"),
        (CHAT, json!({"tools": tool}), "tools[0]"),
        (CHAT, json!({"chat_template_kwargs": {"a": ["xyzzy"]}}), "chat_template_kwargs"),
        (PLAIN, json!({"prompt": "xyzzy"}), "prompt"),
        (PLAIN, json!({"prompt": ["a", "xyzzy"]}), "prompt[1]"),
        (PLAIN, json!({"prompt": b"xyzzy"}), "prompt"),
    ] {
        let body = if path == CHAT { chat(more.clone()) } else { plain(more.clone()) };
        let (status, answer) = post(&server.router, path, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{more}: {answer}");
        let error = &answer["error"];
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!((&error["code"], &error["param"]), (&json!("content_filter"), &json!(param)));
        assert!(!answer.to_string().to_lowercase().contains("xyzzy"), "{answer}");
    }
    let body = with(chat(json!({"max_tokens": 9})), json!({"system": "a bad cat"}));
    let (status, _, text) = call(&server.router, post_request(MESSAGES, body.to_string())).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &answer["type"]), (StatusCode::BAD_REQUEST, &json!("error")));
    assert_eq!(answer["error"]["type"], "invalid_request_error");
    assert_eq!(server.handle.stats().prompt_tokens, 0, "nothing was computed");
    assert_eq!(choices(&server, CHAT, chat(json!({}))).await, [("ok".into(), "stop".into())]);
}

#[tokio::test]
async fn the_model_reads_what_was_rewritten() {
    let server = asked(vec![pii(Action::Mask)]);
    let plainly = asked(Vec::new());
    let num_tokens = async |server: &Server, content: Value| {
        let body = chat(json!({"messages": [{"role": "user", "content": content}]}));
        let (_, answer) = post(&server.router, CHAT, body).await;
        answer["usage"]["prompt_tokens"].as_u64().unwrap()
    };
    let parts = |texts: &[&str]| {
        let parts = texts.iter().map(|text| json!({"type": "text", "text": text}));
        parts.collect::<Value>()
    };
    for (asked, read) in [
        (json!(SAID), json!(MASKED)),
        (parts(&[SAID, "b"]), parts(&[MASKED, "b"])),
        (parts(&["ann@exam", "ple.com"]), parts(&["[EMAIL]"])),
        (json!("nothing"), json!("nothing")),
    ] {
        assert_eq!(num_tokens(&server, asked).await, num_tokens(&plainly, read).await);
    }
    let tokens: Vec<u32> = SAID.bytes().map(u32::from).collect();
    for prompt in [json!(SAID), json!([SAID]), json!(tokens)] {
        let body = plain(json!({"prompt": prompt, "echo": true, "logprobs": 1}));
        let (_, answer) = post(&server.router, PLAIN, body).await;
        let choice = &answer["choices"][0];
        assert_eq!(choice["text"], format!("{MASKED}ok"));
        let tokens = choice["logprobs"]["tokens"].as_array().unwrap();
        let told: String = tokens.iter().map(|token| token.as_str().unwrap()).collect();
        assert!(told.trim_start_matches("<bos>").starts_with(MASKED), "{told}");
    }
}
