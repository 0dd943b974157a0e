//! OpenAI's conversations: their items, and the responses that are part of them.

use axum::http::StatusCode;
use engine_mock::MockModel;
use serde_json::{Value, json};
use server_store::Limits;

use crate::common::EOS;
use crate::kept::{Kept, kept, says};

const PATH: &str = "/v1/conversations";

fn path(conversation: &Value) -> String {
    format!("{PATH}/{}", conversation["id"].as_str().unwrap())
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

async fn texts(server: &Kept, path: &str) -> Vec<String> {
    let list = server.get(&format!("{path}/items?order=asc&limit=100")).await;
    let items = list["data"].as_array().unwrap().iter();
    items.map(|item| item["content"][0]["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_conversation_is_made_noted_on_and_deleted() {
    let server = says("").await;
    let made = server.post(PATH, json!({"metadata": {"k": "v"}, "items": [user("one")]})).await;
    assert!(made["id"].as_str().unwrap().starts_with("conv_"));
    assert_eq!((&made["object"], &made["metadata"]), (&json!("conversation"), &json!({"k": "v"})));
    let path = path(&made);
    assert_eq!(server.get(&path).await, made);
    let updated = server.post(&path, json!({"metadata": {"l": "w"}})).await;
    assert_eq!((&updated["id"], &updated["metadata"]), (&made["id"], &json!({"l": "w"})));
    let error = server.error("POST", &path, json!({})).await;
    assert_eq!((error.0, error.1), (400, json!("metadata")));
    assert_eq!(server.get(&path).await, updated);
    for none in [json!({}), json!(null)] {
        server.post(&path, json!({"metadata": {"l": "w"}})).await;
        assert_eq!(server.post(&path, json!({"metadata": none})).await["metadata"], json!({}));
        assert_eq!(server.get(&path).await["metadata"], json!({}));
    }
    assert_eq!(texts(&server, &path).await, ["one"]);
    for (method, tail, body) in [
        ("GET", "", Value::Null),
        ("POST", "", json!({"metadata": {}})),
        ("GET", "/items", Value::Null),
        ("POST", "/items", json!({"items": [user("x")]})),
        ("DELETE", "", Value::Null),
    ] {
        let (status, _) = server.send("b", method, &format!("{path}{tail}"), body).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {tail}");
    }
    let (_, deleted) = server.send("a", "DELETE", &path, Value::Null).await;
    let expected = json!({"id": made["id"], "object": "conversation.deleted", "deleted": true});
    assert_eq!(deleted, expected);
    assert_eq!(server.error("GET", &path, Value::Null).await.0, 404);
    assert_eq!(server.error("GET", &format!("{path}/items"), Value::Null).await.0, 404);
    assert_eq!(server.store.used("a").await.unwrap(), (0, 0));
    server.post(PATH, json!({})).await;
}

#[tokio::test]
async fn items_are_added_listed_and_removed() {
    let server = says("").await;
    let path = path(&server.post(PATH, json!({})).await);
    let items = format!("{path}/items");
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let result = json!({"type": "function_call_output", "call_id": "c", "output": "1"});
    let added = server.post(&items, json!({"items": [user("one"), call, result]})).await;
    assert_eq!((&added["object"], &added["has_more"]), (&json!("list"), &json!(false)));
    let data = added["data"].as_array().unwrap();
    let kinds: Vec<&Value> = data.iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["message", "function_call", "function_call_output"]);
    assert!(data.iter().all(|item| item["status"] == "completed"));
    let newest = server.get(&format!("{items}?limit=2")).await;
    assert_eq!(newest["data"], json!([data[2], data[1]]));
    assert_eq!((&newest["has_more"], &newest["last_id"]), (&json!(true), &data[1]["id"]));
    let after = newest["last_id"].as_str().unwrap();
    let rest = server.get(&format!("{items}?limit=2&after={after}")).await;
    assert_eq!((&rest["data"], &rest["has_more"]), (&json!([data[0]]), &json!(false)));
    let item = format!("{items}/{}", data[1]["id"].as_str().unwrap());
    assert_eq!(server.get(&item).await, data[1]);
    assert_eq!(server.send("b", "GET", &item, Value::Null).await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.send("b", "DELETE", &item, Value::Null).await.0, StatusCode::NOT_FOUND);
    let (status, left) = server.send("a", "DELETE", &item, Value::Null).await;
    assert_eq!((status, &left["object"]), (StatusCode::OK, &json!("conversation")));
    assert_eq!(server.error("GET", &item, Value::Null).await.0, 404);
    // The second was deleted.
    for after in ["no", data[1]["id"].as_str().unwrap()] {
        let error = server.error("GET", &format!("{items}?after={after}"), Value::Null).await;
        assert_eq!((error.0, error.1), (400, json!("after")), "{after}");
    }
    let error = server.error("GET", &format!("{PATH}/no/items?after=no"), Value::Null).await;
    assert_eq!((error.0, error.2), (404, json!("not_found")));
    let own = json!({"role": "user", "content": "x", "id": data[0]["id"]});
    let error = server.error("POST", &items, json!({"items": [own]})).await;
    assert_eq!((error.0, error.2), (400, json!("duplicate_item")));
}

#[tokio::test]
async fn a_response_reads_its_conversation_and_adds_to_it() {
    let server = says("Hello").await;
    let made = server.post(PATH, json!({"items": [user("one")]})).await;
    let ask = |conversation: Value, stream: bool| {
        let input = "two";
        json!({"model": "mock", "input": input, "conversation": conversation, "stream": stream})
    };
    let response = server.post("/v1/responses", ask(made["id"].clone(), false)).await;
    assert_eq!(response["conversation"], json!({"id": made["id"]}));
    let input = json!([user("one"), user("two")]);
    let counted = json!({"model": "mock", "input": input});
    let counted = server.post("/v1/responses/input_tokens", counted).await;
    assert_eq!(response["usage"]["input_tokens"], counted["input_tokens"]);
    assert_eq!(texts(&server, &path(&made)).await, ["one", "two", "Hello"]);
    let item = format!("{}/items/{}", path(&made), response["output"][0]["id"].as_str().unwrap());
    assert_eq!(server.get(&item).await, response["output"][0]);
    // The same in a stream, and in the background.
    let streamed = ask(json!({"id": made["id"]}), true);
    let events = server.events("POST", "/v1/responses", streamed).await;
    assert_eq!(events.last().unwrap()["type"], "response.completed");
    let all = ["one", "two", "Hello", "two", "Hello"];
    assert_eq!(texts(&server, &path(&made)).await, all);
    let mut background = ask(made["id"].clone(), true);
    background["background"] = true.into();
    server.events("POST", "/v1/responses", background).await;
    assert_eq!(texts(&server, &path(&made)).await.len(), 7);
    let (status, _) =
        server.send("b", "POST", "/v1/responses", ask(made["id"].clone(), false)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let follows = json!({"model": "mock", "input": "x", "previous_response_id": response["id"]});
    let error = server.error("POST", "/v1/responses", follows).await;
    assert_eq!((error.0, error.1), (400, json!("previous_response_id")));
    // The response is there without its conversation.
    server.send("a", "DELETE", &path(&made), Value::Null).await;
    let kept = server.get(&format!("/v1/responses/{}", response["id"].as_str().unwrap())).await;
    assert_eq!(kept, response);
}

#[tokio::test]
async fn what_is_not_kept_adds_nothing() {
    let server = says("Hello").await;
    let made = server.post(PATH, json!({})).await;
    let body = json!({"model": "mock", "input": "a", "conversation": made["id"], "store": false});
    let error = server.error("POST", "/v1/responses", body).await;
    assert_eq!((error.0, error.1), (400, json!("conversation")));
    assert!(texts(&server, &path(&made)).await.is_empty());
}

#[tokio::test]
async fn bad_items_are_named_and_limits_hold() {
    let limits = Limits { max_conversation_items: 21, ..Limits::default() };
    let server = kept(MockModel::scripted("", EOS), limits).await;
    let items = |num: usize| json!({"items": vec![user("x"); num]});
    let made = server.post(PATH, items(20)).await;
    let path = format!("{}/items", path(&made));
    for (body, param) in [
        (items(21), json!("items")),
        (json!({"items": [{"type": "x"}]}), json!("items[0].type")),
        (json!({"items": [{"type": "item_reference", "id": "i"}]}), json!("items[0].type")),
        (json!({}), json!("items")),
        (items(2), Value::Null),
    ] {
        let error = server.error("POST", &path, body.clone()).await;
        assert_eq!((error.0, error.1), (400, param), "{body}");
    }
    server.post(&path, items(1)).await;
    let error = server.error("POST", PATH, json!({"metadata": {"k": 1}})).await;
    assert_eq!((error.0, error.1), (400, json!("metadata.k")));
    let pairs: serde_json::Map<String, Value> =
        (0..17).map(|idx| (format!("k{idx}"), json!("v"))).collect();
    let error = server.error("POST", PATH, json!({"metadata": pairs})).await;
    assert_eq!((error.0, error.1), (400, json!("metadata")));
}
