//! The Responses API where something is wrong: with the request, the store or the engine.

use engine_mock::MockModel;
use serde_json::{Value, json};
use server_store::Limits;

use crate::common::{EOS, roomy, until_idle};
use crate::kept::{Kept, kept, says};
use crate::responses::{PATH, ask, tools, types};

#[tokio::test]
async fn bad_requests_name_their_field() {
    let server = says("").await;
    let message = |content: Value| json!([{"role": "user", "content": content}]);
    for (more, param) in [
        (json!({"model": null}), "model"),
        (json!({"input": null}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": 3}), "input"),
        (json!({"input": [3]}), "input[0]"),
        (json!({"input": [{}]}), "input[0].type"),
        (json!({"input": [{"type": "web_search_call"}]}), "input[0].type"),
        (json!({"input": [{"role": "robot", "content": "a"}]}), "input[0].role"),
        (json!({"input": [{"role": "user"}]}), "input[0].content"),
        (
            json!({"input": message(json!([{"type": "input_image"}]))}),
            "input[0].content[0].image_url",
        ),
        (json!({"input": message(json!([{"type": "input_file"}]))}), "input[0].content[0].type"),
        (json!({"input": message(json!([{"type": "input_text"}]))}), "input[0].content[0].text"),
        (json!({"input": [{"role": "user", "content": "a", "id": "a b"}]}), "input[0].id"),
        (json!({"input": [{"type": "function_call", "call_id": "c"}]}), "input[0].name"),
        (
            json!({"input": [{"role": "user", "content": "a"},
                {"type": "function_call_output", "call_id": "c", "output": "x"}]}),
            "input[1].call_id",
        ),
        (json!({"input": [{"type": "item_reference", "id": "nope"}]}), "input"),
        (json!({"instructions": ["a"]}), "instructions"),
        (json!({"max_output_tokens": 0}), "max_output_tokens"),
        (json!({"max_output_tokens": 99999}), "input"),
        (json!({"temperature": 3}), "temperature"),
        (json!({"top_logprobs": 21}), "top_logprobs"),
        (json!({"include": ["everything"]}), "include"),
        (json!({"truncation": "some"}), "truncation"),
        (json!({"reasoning": {"effort": "extreme"}}), "reasoning.effort"),
        (json!({"text": {"format": {"type": "xml"}}}), "text.format.type"),
        (json!({"text": {"format": {"type": "json_schema"}}}), "text.format.schema"),
        (json!({"tools": [{"type": "function", "name": "a b"}]}), "tools[0].name"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tools": tools(), "tool_choice": {"type": "mcp"}}), "tool_choice.type"),
        (json!({"metadata": {"k": 1}}), "metadata.k"),
        (json!({"metadata": {"": "v"}}), "metadata"),
        (json!({"metadata": {"k": "v".repeat(513)}}), "metadata"),
        (json!({"metadata": {"k".repeat(65): "v"}}), "metadata"),
        (json!({"previous_response_id": "resp_no"}), "previous_response_id"),
        (json!({"previous_response_id": "r", "conversation": "c"}), "conversation"),
        (json!({"background": true, "store": false}), "background"),
        (json!({"prompt": {"id": "p"}}), "prompt"),
        (json!({"moderation": {"model": "m"}}), "moderation"),
    ] {
        let (status, named, _) = server.error("POST", PATH, ask(more.clone())).await;
        assert_eq!((status, &named), (400, &json!(param)), "{more}");
    }
    assert_eq!(server.error("POST", PATH, ask(json!({"model": "no"}))).await.0, 404);
    assert_eq!(server.error("POST", PATH, ask(json!({"conversation": "no"}))).await.0, 404);
    until_idle(&server.handle).await;
    assert_eq!(server.store.used("a").await.unwrap(), (0, 0));
}

#[tokio::test]
async fn without_a_store_only_what_is_to_be_kept_is_refused() {
    let server = roomy(MockModel::scripted("Hello", EOS));
    let send = async |more: Value| {
        let request = crate::common::post_request(PATH, ask(more).to_string());
        let (status, _, text) = crate::common::call(&server.router, request).await;
        (status.as_u16(), serde_json::from_str::<Value>(&text).unwrap())
    };
    for more in [json!({}), json!({"store": false})] {
        let (status, answer) = send(more).await;
        assert_eq!((status, &answer["store"]), (200, &json!(false)), "{answer}");
    }
    for more in [json!({"store": true}), json!({"background": true}), json!({"conversation": "c"})]
    {
        let (status, answer) = send(more).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("no_store")), "{answer}");
    }
}

#[tokio::test]
async fn an_engine_that_fails_midway_ends_the_stream_with_a_failed_response() {
    use engine_mock::Fault;
    let fault = Fault::Error("no memory".into());
    let server = crate::common::faulty(MockModel::scripted("Hello", EOS), 2, fault);
    let request = crate::common::post_request(PATH, ask(json!({"stream": true})).to_string());
    let (_, _, text) = crate::common::call(&server.router, request).await;
    let last = text.split_terminator("\n\n").last().unwrap();
    let (name, data) = last.split_once('\n').unwrap();
    assert_eq!(name, "event: response.failed");
    let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(event["response"]["status"], "failed");
    assert_eq!(event["response"]["error"]["code"], "server_error");
    assert!(!text.contains("no memory"));
}

/// Its stream ends as a failed response does, and nothing is kept.
#[tokio::test]
async fn what_cannot_be_kept_has_failed() {
    let limits = Limits { max_object_bytes: 1500, ..Limits::default() };
    let server: Kept = kept(MockModel::scripted("x".repeat(900), EOS), limits).await;
    let events = server.events("POST", PATH, ask(json!({"stream": true}))).await;
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(types(&events).iter().filter(|kind| **kind == "response.completed").count(), 0);
    let (status, _, code) = server.error("POST", PATH, ask(json!({}))).await;
    assert_eq!((status, code), (400, json!("too_large_to_keep")));
    assert_eq!(server.store.used("a").await.unwrap(), (0, 0));
    server.post(PATH, ask(json!({"store": false}))).await;
}

#[tokio::test]
async fn what_openai_has_beside_these_is_not_there() {
    let server = kept(MockModel::scripted("ok", EOS), Limits::default()).await;
    for (method, path) in [
        ("POST", "/v1/responses/compact"),
        ("GET", "/v1/responses/compact"),
        ("POST", "/v1/responses/input_tokens/x"),
    ] {
        let (status, _, code) = server.error(method, path, ask(json!({}))).await;
        assert_eq!((status, code), (404, json!("unknown_url")), "{method} {path}");
    }
}
