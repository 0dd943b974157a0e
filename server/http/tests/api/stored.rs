//! Chat completions that are stored.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::common::until_idle;
use crate::kept::{Kept, says};

const PATH: &str = "/v1/chat/completions";
const CALL: &str = "<think>\nHm.\n</think>\n\n<tool_call>\n\
    {\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>";

fn chat(more: Value) -> Value {
    let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
    let messages = json!([{"role": "system", "content": "Be brief."},
        {"role": "user", "content": parts}]);
    let mut body = json!({"model": "mock", "messages": messages, "store": true});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn path(completion: &Value) -> String {
    format!("{PATH}/{}", completion["id"].as_str().unwrap())
}

async fn listed(server: &Kept, query: &str) -> (Vec<Value>, bool) {
    let list = server.get(&format!("{PATH}?{query}")).await;
    let ids = list["data"].as_array().unwrap().iter().map(|stored| stored["id"].clone());
    (ids.collect(), list["has_more"] == true)
}

#[tokio::test]
async fn a_completion_is_stored_only_if_asked() {
    let server = says("Hello").await;
    let mut stored = server.post(PATH, chat(json!({"metadata": {"k": "v"}}))).await;
    server.post(PATH, chat(json!({"store": false, "metadata": {"k": "v"}}))).await;
    server.post(PATH, chat(json!({"store": null}))).await;
    assert_eq!(listed(&server, "").await, (vec![stored["id"].clone()], false));
    let path = path(&stored);
    stored["metadata"] = json!({"k": "v"});
    assert_eq!(server.get(&path).await, stored);
    let messages = server.get(&format!("{path}/messages")).await;
    let data = messages["data"].as_array().unwrap();
    assert_eq!((&data[0]["role"], &data[0]["content"]), (&json!("system"), &json!("Be brief.")));
    assert_eq!(
        (&data[1]["content"], &data[1]["content_parts"][1]["text"]),
        (&Value::Null, &json!("b"))
    );
    let after = data[0]["id"].as_str().unwrap();
    let rest = server.get(&format!("{path}/messages?after={after}")).await;
    assert_eq!(rest["data"], json!([data[1]]));
    let updated = server.post(&path, json!({"metadata": {"l": "w"}})).await;
    stored["metadata"] = json!({"l": "w"});
    assert_eq!(updated, stored);
    assert_eq!(listed(&server, "metadata[l]=w").await.0.len(), 1);
    assert!(listed(&server, "metadata[k]=v").await.0.is_empty());
    for body in [json!({}), json!({"metadata": 1})] {
        let error = server.error("POST", &path, body.clone()).await;
        assert_eq!((error.0, error.1), (400, json!("metadata")), "{body}");
    }
    for (method, tail, body) in [
        ("GET", "", Value::Null),
        ("GET", "/messages", Value::Null),
        ("POST", "", json!({"metadata": {}})),
        ("DELETE", "", Value::Null),
    ] {
        let (status, _) = server.send("b", method, &format!("{path}{tail}"), body).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {tail}");
    }
    let (_, others) = server.send("b", "GET", PATH, Value::Null).await;
    assert_eq!(others["data"], json!([]));
    let (_, deleted) = server.send("a", "DELETE", &path, Value::Null).await;
    let expected =
        json!({"id": stored["id"], "object": "chat.completion.deleted", "deleted": true});
    assert_eq!(deleted, expected);
    assert_eq!(server.error("GET", &path, Value::Null).await.0, 404);
    assert_eq!(server.error("POST", &path, json!({"metadata": {}})).await.0, 404);
}

#[tokio::test]
async fn a_stream_is_stored_as_it_was_seen() {
    let server = says(CALL).await;
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let body = chat(json!({"stream": true, "tools": tools, "n": 2, "logprobs": true}));
    let request = axum::http::Request::post(PATH).header("authorization", "Bearer a");
    let request = request.body(axum::body::Body::from(body.to_string())).unwrap();
    let (_, _, text) = crate::common::call(&server.router, request).await;
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let blocks = text.split_terminator("\n\n").filter_map(|block| block.strip_prefix("data: {"));
    let chunks: Vec<Value> =
        blocks.map(|block| serde_json::from_str(&format!("{{{block}")).unwrap()).collect();
    let stored = server.get(&path(&chunks[0])).await;
    assert_eq!((&stored["object"], &stored["id"]), (&json!("chat.completion"), &chunks[0]["id"]));
    let choices = stored["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 2);
    for choice in choices {
        let message = &choice["message"];
        assert_eq!(
            (&choice["finish_reason"], &message["content"]),
            (&json!("tool_calls"), &Value::Null)
        );
        assert_eq!(message["reasoning_content"], "\nHm.\n");
        let function = json!({"name": "f", "arguments": "{\"a\": 1}"});
        assert_eq!(message["tool_calls"][0]["function"], function);
        let seen = chunks.iter().map(|chunk| &chunk["choices"][0]);
        let mut seen = seen.filter(|seen| seen["index"] == choice["index"]);
        let id = seen.find_map(|seen| seen["delta"]["tool_calls"][0]["id"].as_str());
        assert_eq!(message["tool_calls"][0]["id"].as_str(), id);
        assert_eq!(choice["logprobs"]["content"].as_array().unwrap().len(), CALL.len());
    }
    assert_eq!(stored["usage"]["completion_tokens"], 2 * (CALL.len() + 1));
    until_idle(&server.handle).await;
}

#[tokio::test]
async fn lists_go_page_by_page() {
    let server = says("Hello").await;
    for idx in 0..3 {
        let metadata = json!({"which": format!("{idx}"), "all": "yes"});
        server.post(PATH, chat(json!({"metadata": metadata}))).await;
    }
    let (first, has_more) = listed(&server, "limit=2&metadata[all]=yes").await;
    assert_eq!((first.len(), has_more), (2, true));
    let after = first[1].as_str().unwrap();
    let (rest, has_more) = listed(&server, &format!("limit=2&after={after}")).await;
    assert_eq!((rest.len(), has_more), (1, false));
    let (mut down, _) = listed(&server, "order=desc&model=mock").await;
    down.reverse();
    assert_eq!(down, [&first[..], &rest].concat());
    assert_eq!(listed(&server, "metadata%5Bwhich%5D=1").await.0.len(), 1);
    assert!(listed(&server, "model=other").await.0.is_empty());
    for (query, status, param) in [
        ("limit=1000", 400, json!("limit")),
        ("order=x", 400, json!("order")),
        ("after=no", 400, json!("after")),
        ("metadata[]=x", 400, json!("metadata")),
    ] {
        let error = server.error("GET", &format!("{PATH}?{query}"), Value::Null).await;
        assert_eq!((error.0, error.1), (status, param), "{query}");
    }
}

#[tokio::test]
async fn bad_metadata_is_refused_before_work_is_done() {
    let server = says("Hello").await;
    for (metadata, param) in [
        (json!({"k": 1}), "metadata.k"),
        (json!("k"), "metadata"),
        (json!({"k": "v".repeat(513)}), "metadata"),
    ] {
        let error = server.error("POST", PATH, chat(json!({"metadata": metadata}))).await;
        assert_eq!((error.0, error.1), (400, json!(param)));
    }
    let most = json!({"k".repeat(64): "ä".repeat(512)});
    server.post(PATH, chat(json!({"metadata": most}))).await;
    server.store.close().await;
    let error = server.error("POST", PATH, chat(json!({}))).await;
    assert_eq!((error.0, error.2), (503, json!("storage_unavailable")));
}
