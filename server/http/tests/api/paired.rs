//! Calls without results, and results without calls, in each API's own words.

use axum::http::StatusCode;
use engine_mock::MockModel;
use serde_json::{Value, json};
use server_store::Limits;

use crate::common::{EOS, Server, post, roomy};
use crate::kept::{Kept, kept};
use crate::responses::{ask, tools};
use crate::{bedrock, kept};

const OPENAI_CALLS: &str = "An assistant message with 'tool_calls' must be followed by tool \
    messages responding to each 'tool_call_id'. The following tool_call_ids did not have response \
    messages: ";
const OPENAI_RESULT: &str = "Messages with role 'tool' must be a response to a preceding message \
    with 'tool_calls'.";

fn server() -> Server {
    roomy(MockModel::scripted("ok", EOS))
}

/// A conversation in OpenAI's form: `u`ser, `s`ystem, a result of `x` or `y`, or calls of some.
fn chat(turns: &[&str]) -> Value {
    let function = json!({"name": "f", "arguments": "{}"});
    let call = |id: char| json!({"id": id, "type": "function", "function": function});
    let turn = |turn: &&str| match *turn {
        "user" => json!({"role": "user", "content": "hello"}),
        "system" => json!({"role": "system", "content": "Be brief."}),
        "said" => json!({"role": "assistant", "content": "Hm."}),
        "x" | "y" => json!({"role": "tool", "tool_call_id": turn, "content": "1"}),
        calls => {
            let calls: Vec<Value> = calls.trim_start_matches("call ").chars().map(call).collect();
            json!({"role": "assistant", "content": null, "tool_calls": calls})
        }
    };
    json!({"model": "mock", "messages": turns.iter().map(turn).collect::<Vec<_>>()})
}

#[tokio::test]
async fn chats_say_it_as_openai_does() {
    let server = server();
    let calls = |ids: &str| format!("{OPENAI_CALLS}{ids}");
    for (turns, param, says) in [
        (&["user", "call x"][..], "messages[1].tool_calls", calls("x")),
        (&["user", "call x", "user"], "messages[1].tool_calls", calls("x")),
        (&["user", "call xy", "y", "user"], "messages[1].tool_calls", calls("x")),
        (&["user", "call xy", "user", "x", "y"], "messages[1].tool_calls", calls("x, y")),
        (&["user", "call x", "system", "x"], "messages[1].tool_calls", calls("x")),
        (&["user", "call x", "call y", "x", "y"], "messages[1].tool_calls", calls("x")),
        (&["user", "call x", "x", "call y", "said"], "messages[3].tool_calls", calls("y")),
        (&["user", "x"], "messages[1].tool_call_id", OPENAI_RESULT.to_owned()),
        (&["user", "call x", "y"], "messages[2].tool_call_id", OPENAI_RESULT.to_owned()),
        (&["user", "call x", "x", "user", "x"], "messages[4].tool_call_id", OPENAI_RESULT.into()),
    ] {
        // Bedrock has OpenAI's form, too: the words are the same there, the shape is not.
        let body = chat(turns);
        let (status, answer) = post(&server.router, "/v1/chat/completions", body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{turns:?}: {answer}");
        let error = &answer["error"];
        assert_eq!(
            (&error["param"], &error["type"]),
            (&json!(param), &"invalid_request_error".into())
        );
        assert!(error["message"].as_str().unwrap().starts_with(&says), "{turns:?}: {error}");
        let (status, headers, answer) = bedrock::post(&server, "invoke", &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert_eq!(headers["x-amzn-errortype"], "ValidationException");
        assert_eq!(answer, json!({"message": error["message"]}));
    }
    for turns in [
        &["user", "call xy", "y", "x", "user"][..],
        &["user", "call x", "x", "call y", "y", "said", "user"],
        &["user", "call x", "x", "x"],
    ] {
        let (status, answer) = post(&server.router, "/v1/chat/completions", chat(turns)).await;
        assert_eq!(status, StatusCode::OK, "{turns:?}: {answer}");
    }
    // A call that nobody can name needs no result.
    let mut body = chat(&["user", "call x", "user"]);
    body["messages"][1]["tool_calls"][0].as_object_mut().unwrap().remove("id");
    assert_eq!(post(&server.router, "/v1/chat/completions", body).await.0, StatusCode::OK);
}

/// The same in Anthropic's form, where results are a user's.
fn messages(turns: &[&str]) -> Value {
    let turn = |turn: &&str| match *turn {
        "user" => json!({"role": "user", "content": "hello"}),
        calls if calls.starts_with("call ") => {
            let calls = calls.trim_start_matches("call ").chars();
            let call = |id| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
            json!({"role": "assistant", "content": calls.map(call).collect::<Vec<_>>()})
        }
        results => {
            let text = json!({"type": "text", "text": "and"});
            let result = |id| json!({"type": "tool_result", "tool_use_id": id, "content": "1"});
            let blocks = results.chars().map(result).chain([text]);
            json!({"role": "user", "content": blocks.collect::<Vec<_>>()})
        }
    };
    json!({"model": "mock", "max_tokens": 9, "system": "Be brief.",
        "messages": turns.iter().map(turn).collect::<Vec<_>>()})
}

#[tokio::test]
async fn messages_say_it_as_anthropic_does() {
    let server = server();
    let without = |place: usize, ids: &str| {
        format!(
            "'messages[{place}]': `tool_use` ids were found without `tool_result` blocks \
             immediately after: {ids}. Each `tool_use` block must have a corresponding \
             `tool_result` block in the next message."
        )
    };
    let unexpected = |place: &str, id: &str| {
        format!(
            "'{place}.tool_use_id': unexpected `tool_use_id` found in `tool_result` blocks: {id}. \
             Each `tool_result` block must have a corresponding `tool_use` block in the previous \
             message."
        )
    };
    for (turns, says) in [
        (&["user", "call x"][..], without(1, "x")),
        (&["user", "call xy", "user"], without(1, "x, y")),
        (&["user", "call xy", "y"], without(1, "x")),
        (&["user", "x"], unexpected("messages[1].content[0]", "x")),
        (&["user", "call x", "xy"], unexpected("messages[2].content[1]", "y")),
    ] {
        let body = messages(turns);
        for path in ["/v1/messages", "/v1/messages/count_tokens"] {
            let (status, answer) = post(&server.router, path, body.clone()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{turns:?}: {answer}");
            let error = json!({"type": "invalid_request_error", "message": says});
            assert_eq!((&answer["type"], &answer["error"]), (&json!("error"), &error));
        }
        let mut invoked = body;
        invoked["anthropic_version"] = "bedrock-2023-05-31".into();
        let (status, _, answer) = bedrock::post(&server, "invoke", &invoked).await;
        assert_eq!((status, answer), (StatusCode::BAD_REQUEST, json!({"message": says})));
    }
    for turns in [&["user", "call xy", "yx"][..], &["user", "call x", "x", "call y", "y"]] {
        let (status, answer) = post(&server.router, "/v1/messages", messages(turns)).await;
        assert_eq!(status, StatusCode::OK, "{turns:?}: {answer}");
    }
}

#[tokio::test]
async fn converse_says_it_as_aws_does() {
    let server = server();
    let user = json!({"role": "user", "content": [{"text": "hello"}]});
    let called = json!({"role": "assistant", "content": [{"text": "Hm."},
        {"toolUse": {"toolUseId": "x", "name": "f", "input": {}}},
        {"toolUse": {"toolUseId": "y", "name": "f", "input": {}}}]});
    let point = json!({"cachePoint": {"type": "default"}});
    let result = |id: &str| json!({"toolResult": {"toolUseId": id, "content": [{"text": "1"}]}});
    let results = |ids: &[&str]| {
        let blocks = [point.clone()].into_iter().chain(ids.iter().map(|id| result(id)));
        json!({"role": "user", "content": blocks.collect::<Vec<_>>()})
    };
    let missing = |ids: &str| {
        format!("Expected toolResult blocks at 'messages[2].content' for the following Ids: {ids}.")
    };
    let more = |place: &str| {
        format!(
            "There are more toolResult blocks than toolUse blocks of the previous turn: \
             '{place}.toolResult.toolUseId' is the Id of none of those: z."
        )
    };
    for (messages, says) in [
        (json!([user, called]), missing("x, y")),
        (json!([user, called, user]), missing("x, y")),
        (json!([user, called, results(&["x"])]), missing("y")),
        (json!([user, results(&["z"])]), more("messages[1].content[1]")),
        (json!([user, called, results(&["x", "y", "z"])]), more("messages[2].content[3]")),
    ] {
        for operation in ["converse", "converse-stream"] {
            let body = json!({"messages": messages});
            let (status, headers, answer) = bedrock::post(&server, operation, &body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{messages}: {answer}");
            assert_eq!(headers["x-amzn-errortype"], "ValidationException");
            assert!(answer["message"].as_str().unwrap().starts_with(&says), "{answer}");
        }
    }
    let body = json!({"messages": [user, called, results(&["y", "x"])]});
    assert_eq!(bedrock::post(&server, "converse", &body).await.0, StatusCode::OK);
}

/// A server whose model calls functions if it must.
async fn calling() -> Kept {
    let rambles = MockModel { eos_token: Some(EOS), eos_probability: 0.2, ..MockModel::default() };
    kept(rambles, Limits::default()).await
}

const PATH: &str = "/v1/responses";

fn call(id: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": "weather", "arguments": "{}"})
}

fn output(id: &str) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": "21"})
}

#[tokio::test]
async fn responses_say_it_as_openai_does() {
    let server = kept::says("ok").await;
    let user = json!({"role": "user", "content": "hello"});
    let none = |id: &str| format!("No tool output found for function call {id}.");
    for (items, param, says) in [
        (json!([user, call("x")]), "input", none("x")),
        (json!([user, call("x"), user]), "input", none("x")),
        (json!([user, call("x"), call("y"), output("x")]), "input", none("y")),
        (json!([user, call("x"), call("x"), output("x")]), "input", none("x")),
        (
            json!([user, output("x")]),
            "input[1].call_id",
            "No tool call found for function call output with call_id x.".to_owned(),
        ),
    ] {
        for path in [PATH, "/v1/responses/input_tokens"] {
            let (status, answer) =
                server.send("a", "POST", path, ask(json!({"input": items}))).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{items}: {answer}");
            assert_eq!(answer["error"]["param"], param, "{items}");
            assert_eq!(answer["error"]["message"], says, "{items}");
        }
    }
    // Outputs may come as late as they like.
    let thought = json!({"type": "reasoning", "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm."}]});
    for items in [
        json!([user, call("x"), call("y"), output("y"), output("x"), user]),
        json!([user, call("x"), thought, call("y"), output("x"), output("y")]),
        json!([user, call("x"), user, output("x")]),
        json!([user, call("x"), output("x"), call("x"), output("x")]),
    ] {
        server.post(PATH, ask(json!({"input": items}))).await;
    }
}

#[tokio::test]
async fn what_follows_a_response_answers_its_calls() {
    let server = calling().await;
    let more = json!({"tools": tools(), "tool_choice": "required", "parallel_tool_calls": false});
    let called = server.post(PATH, ask(more.clone())).await;
    let id = called["output"][0]["call_id"].as_str().unwrap();
    let follow = |input: Value| {
        ask(json!({"previous_response_id": called["id"], "tools": tools(), "input": input}))
    };
    let (status, answer) = server.send("a", "POST", PATH, follow(json!("well?"))).await;
    assert_eq!((status, &answer["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("input")));
    let says = format!("No tool output found for function call {id}.");
    assert_eq!(answer["error"]["message"], says);
    let answered = server.post(PATH, follow(json!([output(id)]))).await;
    assert_eq!(answered["previous_response_id"], called["id"]);

    // A call that was cut cannot be answered, and nothing waits for it.
    let mut cut = ask(more);
    cut["max_output_tokens"] = 48.into();
    let cut = server.post(PATH, cut).await;
    assert_eq!(cut["status"], "incomplete", "{cut}");
    let item = &cut["output"][0];
    assert_eq!((&item["type"], &item["status"]), (&json!("function_call"), &json!("incomplete")));
    let input = json!({"previous_response_id": cut["id"], "input": "well?"});
    server.post(PATH, ask(input)).await;
}
