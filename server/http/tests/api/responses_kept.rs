//! Responses that are kept: retrieved, followed, deleted, and worked on in the background.

use axum::http::StatusCode;
use engine_mock::MockModel;
use serde_json::{Value, json};
use server_store::Limits;

use crate::common::{EOS, endless, until_idle, until_running};
use crate::kept::{Kept, kept, says};
use crate::responses::{PATH, ask};

fn path(response: &Value) -> String {
    format!("{PATH}/{}", response["id"].as_str().unwrap())
}

async fn count(server: &Kept, body: Value) -> u64 {
    let counted = server.post("/v1/responses/input_tokens", body).await;
    counted["input_tokens"].as_u64().unwrap()
}

#[tokio::test]
async fn a_response_is_retrieved_listed_and_deleted_by_its_tenant() {
    let server = says("Hello").await;
    let items = json!([{"role": "user", "content": "one"},
        {"role": "user", "content": [{"type": "input_text", "text": "two"}]}]);
    let response = server.post(PATH, ask(json!({"input": items}))).await;
    let path = path(&response);
    assert_eq!(server.get(&path).await, response);
    let list = server.get(&format!("{path}/input_items?order=asc")).await;
    let texts: Vec<&Value> =
        list["data"].as_array().unwrap().iter().map(|item| &item["content"][0]["text"]).collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!((&list["object"], &list["has_more"]), (&json!("list"), &json!(false)));
    assert_eq!(list["first_id"], list["data"][0]["id"]);
    let newest = server.get(&format!("{path}/input_items?limit=1")).await;
    assert_eq!((&newest["data"][0], &newest["has_more"]), (&list["data"][1], &json!(true)));
    let after = newest["last_id"].as_str().unwrap();
    let rest = server.get(&format!("{path}/input_items?limit=1&after={after}")).await;
    assert_eq!((&rest["data"][0], &rest["has_more"]), (&list["data"][0], &json!(false)));
    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("order=up", "order"),
        ("after=no", "after"),
    ] {
        let error = server.error("GET", &format!("{path}/input_items?{query}"), Value::Null).await;
        assert_eq!((error.0, error.1), (400, json!(param)), "{query}");
    }
    // The other tenant finds nothing, and changes nothing.
    for (method, tail) in
        [("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")]
    {
        let (status, _) = server.send("b", method, &format!("{path}{tail}"), Value::Null).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {tail}");
    }
    let follows = ask(json!({"previous_response_id": response["id"]}));
    assert_eq!(server.send("b", "POST", PATH, follows).await.0, StatusCode::BAD_REQUEST);
    let (_, deleted) = server.send("a", "DELETE", &path, Value::Null).await;
    assert_eq!(deleted, json!({"id": response["id"], "object": "response", "deleted": true}));
    let error = server.error("GET", &path, Value::Null).await;
    assert_eq!((error.0, error.2), (404, json!("not_found")));
    assert_eq!(server.error("DELETE", &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_not() {
    let server = says("Hello").await;
    let response = server.post(PATH, ask(json!({"store": false}))).await;
    assert_eq!(response["store"], false);
    assert_eq!(server.error("GET", &path(&response), Value::Null).await.0, 404);
    assert_eq!(server.store.used("a").await.unwrap(), (0, 0));
}

#[tokio::test]
async fn a_response_follows_another_without_its_instructions() {
    let server = says("Hello").await;
    let first = server.post(PATH, ask(json!({"instructions": "Speak as a pirate."}))).await;
    let second = ask(json!({"input": "and?", "previous_response_id": first["id"]}));
    let second = server.post(PATH, second).await;
    assert_eq!(
        (&second["previous_response_id"], &second["instructions"]),
        (&first["id"], &Value::Null)
    );
    let third = ask(json!({"input": "so", "previous_response_id": second["id"]}));
    let third = server.post(PATH, third).await;
    let said = |text: &str| json!({"role": "assistant", "content": text});
    let asked = |text: &str| json!({"role": "user", "content": text});
    let whole = json!([asked("hello"), said("Hello"), asked("and?"), said("Hello"), asked("so")]);
    let expected = count(&server, ask(json!({"input": whole}))).await;
    assert_eq!(third["usage"]["input_tokens"], expected);
    // Its own input alone is what it was asked with.
    let list = server.get(&format!("{}/input_items", path(&third))).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    server.send("a", "DELETE", &path(&first), Value::Null).await;
    let fourth = ask(json!({"previous_response_id": third["id"]}));
    let error = server.error("POST", PATH, fourth.clone()).await;
    let code = json!("previous_response_not_found");
    assert_eq!(error, (400, json!("previous_response_id"), code));
    // It says which one it cannot follow, and why.
    let (_, answer) = server.send("a", "POST", PATH, fourth).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!([&third, &first].iter().all(|r| message.contains(r["id"].as_str().unwrap())));
}

#[tokio::test]
async fn an_item_can_stand_for_itself() {
    let server = says("Hello").await;
    let first = server.post(PATH, ask(json!({}))).await;
    let reference = json!({"type": "item_reference", "id": first["output"][0]["id"]});
    let items = json!([{"role": "user", "content": "hello"}, reference,
        {"role": "user", "content": "and?"}]);
    let second = server.post(PATH, ask(json!({"input": items}))).await;
    let whole = json!([{"role": "user", "content": "hello"},
        {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "and?"}]);
    let expected = count(&server, ask(json!({"input": whole}))).await;
    assert_eq!(second["usage"]["input_tokens"], expected);
    let (status, _) = server.send("b", "POST", PATH, ask(json!({"input": items}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_work_and_nothing_is_kept() {
    use futures_util::StreamExt;
    use tower::ServiceExt;
    let server = kept(endless(), Limits::default()).await;
    let request = axum::http::Request::post(PATH).header("authorization", "Bearer a");
    let body = axum::body::Body::from(ask(json!({"stream": true})).to_string());
    let request = request.body(body).unwrap();
    let response = server.router.clone().oneshot(request).await.unwrap();
    let mut body = response.into_body().into_data_stream();
    body.next().await.unwrap().unwrap();
    until_running(&server.handle, 1).await;
    drop(body);
    until_idle(&server.handle).await;
    assert_eq!(server.store.used("a").await.unwrap(), (0, 0));
}

/// Polls until the response is in another state than these.
pub(crate) async fn ended(server: &Kept, path: &str) -> Value {
    let poll = async {
        loop {
            let response = server.get(path).await;
            if response["status"] != "queued" && response["status"] != "in_progress" {
                return response;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(60), poll).await;
    in_time.expect("it ends")
}

#[tokio::test]
async fn a_background_response_goes_on_by_itself() {
    let server = says("Hello").await;
    let queued = server.post(PATH, ask(json!({"background": true}))).await;
    assert_eq!((&queued["status"], &queued["background"]), (&json!("queued"), &json!(true)));
    assert_eq!(queued["output"], json!([]));
    let done = ended(&server, &path(&queued)).await;
    assert_eq!(done["status"], "completed");
    assert_eq!(done["output"][0]["content"][0]["text"], "Hello");
    assert_eq!(done["usage"]["output_tokens"], 6);
    // One that is done stays as it is.
    let cancelled = server.post(&format!("{}/cancel", path(&queued)), Value::Null).await;
    assert_eq!(cancelled, done);
    let follows = ask(json!({"previous_response_id": done["id"]}));
    assert_eq!(server.post(PATH, follows).await["status"], "completed");
}

#[tokio::test]
async fn a_background_response_can_be_streamed_again() {
    let server = says("Hi").await;
    let asked = ask(json!({"background": true, "stream": true}));
    let events = server.events("POST", PATH, asked).await;
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds[..4],
        [
            "response.created",
            "response.queued",
            "response.in_progress",
            "response.output_item.added"
        ]
    );
    assert_eq!(kinds.last(), Some(&"response.completed"));
    let response = &events.last().unwrap()["response"];
    let path = path(response);
    assert_eq!(&server.get(&path).await, response);
    let again = server.events("GET", &format!("{path}?stream=true"), Value::Null).await;
    assert_eq!(again, events);
    let rest = format!("{path}?stream=true&starting_after=4");
    assert_eq!(server.events("GET", &rest, Value::Null).await, events[5..]);
    let bad = format!("{path}?stream=true&starting_after=x");
    assert_eq!(server.error("GET", &bad, Value::Null).await.1, "starting_after");
    // One that was not in the background has no events to give again.
    let whole = server.post(PATH, ask(json!({}))).await;
    let stream = format!("{PATH}/{}?stream=true", whole["id"].as_str().unwrap());
    assert_eq!(server.error("GET", &stream, Value::Null).await.1, "stream");
}

#[tokio::test]
async fn background_work_is_bounded_and_can_be_ended() {
    let server = kept(endless(), Limits::default()).await;
    let asked = ask(json!({"background": true}));
    let first = server.post(PATH, asked.clone()).await;
    let second = server.post(PATH, asked.clone()).await;
    let error = server.error("POST", PATH, asked.clone()).await;
    assert_eq!((error.0, error.2), (429, json!("too_many_in_background")));
    let (status, others) = server.send("b", "POST", PATH, asked.clone()).await;
    assert_eq!(status, StatusCode::OK, "{others}");
    until_running(&server.handle, 3).await;
    let follows = ask(json!({"previous_response_id": first["id"]}));
    assert_eq!(server.error("POST", PATH, follows).await.1, "previous_response_id");

    let cancelled = server.post(&format!("{}/cancel", path(&first)), Value::Null).await;
    assert_eq!(cancelled["status"], "cancelled");
    server.send("a", "DELETE", &path(&second), Value::Null).await;
    server.send("b", "POST", &format!("{}/cancel", path(&others)), Value::Null).await;
    until_idle(&server.handle).await;
    assert_eq!(server.get(&path(&first)).await["status"], "cancelled");
    assert_eq!(server.error("GET", &path(&second), Value::Null).await.0, 404);
    // Their places are free again.
    let third = server.post(PATH, asked).await;
    server.post(&format!("{}/cancel", path(&third)), Value::Null).await;
    until_idle(&server.handle).await;

    let whole = says("a").await;
    let response = whole.post(PATH, ask(json!({}))).await;
    let error = whole.error("POST", &format!("{}/cancel", path(&response)), Value::Null).await;
    assert_eq!((error.0, error.2), (400, json!("not_in_background")));
}

#[tokio::test]
async fn a_background_response_that_cannot_be_kept_has_failed() {
    let limits = Limits { max_object_bytes: 1500, ..Limits::default() };
    let server = kept(MockModel::scripted("x".repeat(900), EOS), limits).await;
    let queued = server.post(PATH, ask(json!({"background": true}))).await;
    let failed = ended(&server, &path(&queued)).await;
    assert_eq!((&failed["status"], &failed["output"]), (&json!("failed"), &json!([])));
    assert!(failed["error"]["message"].as_str().unwrap().contains("1500"), "{failed}");
}

#[tokio::test]
async fn a_tenant_that_keeps_too_much_is_told_before_work_is_done() {
    let limits = Limits { max_rows: 1, ..Limits::default() };
    let server = kept(MockModel::scripted("Hello", EOS), limits).await;
    let first = server.post(PATH, ask(json!({}))).await;
    let error = server.error("POST", PATH, ask(json!({}))).await;
    assert_eq!((error.0, error.2), (403, json!("storage_limit_exceeded")));
    server.post(PATH, ask(json!({"store": false}))).await;
    let (status, _) = server.send("b", "POST", PATH, ask(json!({}))).await;
    assert_eq!(status, StatusCode::OK);
    server.send("a", "DELETE", &path(&first), Value::Null).await;
    server.post(PATH, ask(json!({}))).await;
}

/// The store's file is gone from under it: an error in time, not a hang.
#[tokio::test]
async fn a_store_that_fails_is_a_503() {
    let server = says("Hello").await;
    server.store.close().await;
    let error = server.error("POST", PATH, ask(json!({}))).await;
    assert_eq!((error.0, error.2), (503, json!("storage_unavailable")));
    server.post(PATH, ask(json!({"store": false}))).await;
}

#[tokio::test]
async fn a_responses_own_time_ends_it() {
    let server = kept(endless(), Limits::default()).await;
    let asked = |more: Value| {
        let mut body = ask(json!({"timeout": 0.2}));
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let error = server.error("POST", PATH, asked(json!({}))).await;
    assert_eq!((error.0, error.2), (408, json!("deadline_exceeded")));
    let events = server.events("POST", PATH, asked(json!({"stream": true}))).await;
    let last = &events.last().unwrap();
    assert_eq!(last["type"], "response.failed", "{last}");
    let queued = server.post(PATH, asked(json!({"background": true}))).await;
    for failed in [&last["response"], &ended(&server, &path(&queued)).await] {
        assert_eq!(
            (&failed["status"], &failed["error"]["code"]),
            (&json!("failed"), &json!("server_error"))
        );
        let message = failed["error"]["message"].as_str().unwrap();
        assert!(message.contains("its own time of 0.2 s"), "{message}");
    }
    until_idle(&server.handle).await;
    for wrong in [json!(0), json!(-1), json!(1e9), json!("1")] {
        let error = server.error("POST", PATH, asked(json!({"timeout": wrong}))).await;
        assert_eq!((error.0, error.1), (400, json!("timeout")), "{wrong}");
    }
}
