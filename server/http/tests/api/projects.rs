//! What a project asked to be kept, and what it runs, is as unknown to another project of its
//! organization as to another organization.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use server_store::Limits;

use crate::common::{call, endless, until_idle, until_running};
use crate::kept::{Kept, kept, says};
use crate::responses::{PATH, ask};
use crate::responses_kept::ended;

/// Keys of another organization, and of another project of the first one.
const OTHERS: [&str; 2] = ["b", "a/other"];
const NOBODYS: &str = "nobody_has_this";

/// What there is at the id of a thing, of those at a path.
const TAILS: [(&str, &str, &str); 14] = [
    (PATH, "GET", ""),
    (PATH, "GET", "?stream=true"),
    (PATH, "GET", "/input_items"),
    (PATH, "POST", "/cancel"),
    (PATH, "DELETE", ""),
    ("/v1/conversations", "GET", ""),
    ("/v1/conversations", "POST", ""),
    ("/v1/conversations", "GET", "/items"),
    ("/v1/conversations", "POST", "/items"),
    ("/v1/conversations", "DELETE", ""),
    ("/v1/chat/completions", "GET", ""),
    ("/v1/chat/completions", "GET", "/messages"),
    ("/v1/chat/completions", "POST", ""),
    ("/v1/chat/completions", "DELETE", ""),
];

fn id(made: &Value) -> &str {
    made["id"].as_str().unwrap()
}

/// Another's request about something is answered as one about nothing, and not with a success.
async fn is_unknown(server: &Kept, (method, path): (&str, &str), body: &Value, id: &str) {
    let body_of = |id: &str, name: &str| -> Value {
        serde_json::from_str(&body.to_string().replace(id, name)).unwrap()
    };
    for other in OTHERS {
        let (status, told) = server.send(other, method, path, body.clone()).await;
        assert!(status.is_client_error(), "{method} {path} {body} by {other}: {status} {told}");
        let nothing = path.replace(id, NOBODYS);
        let (of_nothing, text) = server.send(other, method, &nothing, body_of(id, NOBODYS)).await;
        let told = told.to_string().replace(id, NOBODYS);
        assert_eq!((status, told), (of_nothing, text.to_string()), "{method} {path} by {other}");
    }
}

#[tokio::test]
async fn what_is_kept_is_unknown_to_others() {
    let server = says("Hello").await;
    let message = json!({"type": "message", "role": "user", "content": "x"});
    let asked = json!({"background": true, "metadata": {"k": "v"}});
    let response = server.post(PATH, ask(asked)).await;
    let response = ended(&server, &format!("{PATH}/{}", id(&response))).await;
    let new = json!({"items": [message]});
    let conversation = server.post("/v1/conversations", new.clone()).await;
    let place = format!("/v1/conversations/{}", id(&conversation));
    let items = server.get(&format!("{place}/items")).await;
    let chat = json!({"model": "mock", "store": true, "metadata": {"k": "v"},
        "messages": [{"role": "user", "content": "x"}]});
    let chat = server.post("/v1/chat/completions", chat).await;
    for (made, path) in
        [(&response, PATH), (&conversation, "/v1/conversations"), (&chat, "/v1/chat/completions")]
    {
        for (of, method, tail) in TAILS.iter().filter(|(of, ..)| *of == path) {
            let body = match (*method, *tail) {
                ("POST", "") => json!({"metadata": {}}),
                ("POST", "/items") => new.clone(),
                _ => Value::Null,
            };
            let path = format!("{of}/{}{tail}", id(made));
            is_unknown(&server, (method, &path), &body, id(made)).await;
        }
    }
    let item = id(&items["data"][0]);
    for method in ["GET", "DELETE"] {
        is_unknown(&server, (method, &format!("{place}/items/{item}")), &Value::Null, item).await;
    }
    let said = id(&response["output"][0]);
    let reference = json!({"input": [{"type": "item_reference", "id": said}]});
    let follows = json!({"previous_response_id": id(&response)});
    for path in [PATH.to_owned(), format!("{PATH}/input_tokens")] {
        is_unknown(&server, ("POST", &path), &ask(follows.clone()), id(&response)).await;
        let joins = json!({"conversation": id(&conversation)});
        is_unknown(&server, ("POST", &path), &ask(joins), id(&conversation)).await;
        is_unknown(&server, ("POST", &path), &ask(reference.clone()), said).await;
    }
    for other in OTHERS {
        for path in ["/v1/chat/completions", "/v1/chat/completions?metadata[k]=v"] {
            let (_, list) = server.send(other, "GET", path, Value::Null).await;
            assert_eq!(list["data"], json!([]), "{path} by {other}");
        }
    }
    // All of it is there for its own project, and as it was.
    assert_eq!(server.get(&format!("{PATH}/{}", id(&response))).await, response);
    assert_eq!(server.get(&place).await, conversation);
    assert_eq!(server.get(&format!("{place}/items")).await, items);
    assert_eq!(server.get("/v1/chat/completions").await["data"][0]["id"], chat["id"]);
    server.post(PATH, ask(follows)).await;
    server.post(PATH, ask(reference)).await;
}

#[tokio::test]
async fn what_runs_is_ended_by_its_own_project_only() {
    let server = kept(endless(), Limits::default()).await;
    let response = server.post(PATH, ask(json!({"background": true}))).await;
    until_running(&server.handle, 1).await;
    for (method, path) in [
        ("POST", format!("{PATH}/{}/cancel", id(&response))),
        ("DELETE", format!("{PATH}/{}", id(&response))),
        ("POST", format!("/v1/requests/{}/cancel", id(&response))),
        ("DELETE", format!("/v1/requests/{}", id(&response))),
    ] {
        is_unknown(&server, (method, &path), &Value::Null, id(&response)).await;
    }
    let path = format!("{PATH}/{}", id(&response));
    assert_ne!(server.get(&path).await["status"], "cancelled");
    server.post(&format!("/v1/requests/{}/cancel", id(&response)), Value::Null).await;
    until_idle(&server.handle).await;
    assert_eq!(server.get(&path).await["status"], "cancelled");
}

#[tokio::test]
async fn an_idempotency_key_is_another_one_in_another_project() {
    let server = says("Hello").await;
    let send = async |key: &str, input: &str| {
        let request = Request::post(PATH).header("authorization", format!("Bearer {key}"));
        let request = request.header("idempotency-key", "the same");
        let body = Body::from(ask(json!({"input": input})).to_string());
        let (status, headers, text) = call(&server.router, request.body(body).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let told: Value = serde_json::from_str(&text).unwrap();
        (told["id"].clone(), headers.contains_key("idempotent-replayed"))
    };
    let own = send("a", "x").await;
    assert_eq!(send("a", "x").await, (own.0.clone(), true));
    // Neither its answer nor that there is one.
    let same = send("a/other", "x").await;
    assert!(same.0 != own.0 && !same.1);
    assert!(!send("a/third", "y").await.1);
}
