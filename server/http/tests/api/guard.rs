//! Guards before and after generation, on every surface: masked, stopped, counted, never leaked.

use std::sync::Arc;

use axum::http::StatusCode;
use engine_core::EngineLimits;
use engine_mock::{MockEngine, MockModel};
use scheduler_batching::PlannerConfig;
use serde_json::{Value, json};
use server_guard::{Action, DenyList, Guard, Guards, Pii, PiiKind};
use server_http::{AppState, Metrics, router};

use crate::common::{
    EOS, LIMITS, Server, call, events, get, post, post_request, served, until_idle,
};

const CHAT: &str = "/v1/chat/completions";
const PLAIN: &str = "/v1/completions";
const MESSAGES: &str = "/v1/messages";

const SAID: &str = "Write to ann@example.com or call +49 151 12345678.";
const MASKED: &str = "Write to [EMAIL] or call [PHONE].";

fn pii(action: Action) -> Arc<dyn Guard> {
    Arc::new(Pii::new(&PiiKind::ALL, action))
}

fn deny(action: Action) -> Arc<dyn Guard> {
    Arc::new(DenyList::parse("bad cat\nxyzzy", action).unwrap())
}

fn server(model: MockModel, guards: Guards) -> Server {
    let metrics = Arc::new(Metrics::new());
    let engine = MockEngine::new(EngineLimits { max_model_len: 2048, ..LIMITS }, model);
    let model = served("mock", engine, PlannerConfig::default(), &metrics);
    let handle = model.handle.clone();
    let state = AppState::builder().model(model).metrics(metrics).guards(guards).build();
    Server { router: router(state.clone()), state, handle }
}

/// A model that says `text`, checked by `output`.
fn says(text: &str, output: Vec<Arc<dyn Guard>>) -> Server {
    server(MockModel::scripted(text, EOS), Guards { input: Vec::new(), output })
}

/// A model that is asked through `input`.
fn asked(input: Vec<Arc<dyn Guard>>) -> Server {
    server(MockModel::scripted("ok", EOS), Guards { input, output: Vec::new() })
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn chat(more: Value) -> Value {
    with(json!({"model": "mock", "messages": [{"role": "user", "content": "hello"}]}), more)
}

fn plain(more: Value) -> Value {
    with(json!({"model": "mock", "prompt": "x", "max_tokens": 300}), more)
}

/// The texts and reasons of the choices, whole or from a stream.
async fn choices(server: &Server, path: &str, body: Value) -> Vec<(String, String)> {
    let num_choices = body["n"].as_u64().unwrap_or(1) as usize;
    let answers = if body["stream"] == true {
        events(&server.router, path, body).await
    } else {
        let (status, answer) = post(&server.router, path, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        vec![answer]
    };
    let mut choices = vec![(String::new(), String::new()); num_choices];
    for choice in answers.iter().flat_map(|answer| answer["choices"].as_array().unwrap()) {
        let (text, reason) = &mut choices[choice["index"].as_u64().unwrap() as usize];
        for at in ["/text", "/message/content", "/delta/content"] {
            *text += choice.pointer(at).and_then(Value::as_str).unwrap_or_default();
        }
        *reason += choice["finish_reason"].as_str().unwrap_or_default();
    }
    choices
}

/// The text and the reason of a message, whole or from a stream.
async fn message(server: &Server, more: Value) -> (String, String) {
    let body = with(chat(json!({"max_tokens": 300})), more);
    let (status, _, text) = call(&server.router, post_request(MESSAGES, body.to_string())).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let lines = text.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    let parts: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
    let (mut text, mut reason) = (String::new(), String::new());
    for part in &parts {
        for at in ["/content/0/text", "/delta/text"] {
            text += part.pointer(at).and_then(Value::as_str).unwrap_or_default();
        }
        for at in ["/stop_reason", "/delta/stop_reason"] {
            reason += part.pointer(at).and_then(Value::as_str).unwrap_or_default();
        }
    }
    (text, reason)
}

#[tokio::test]
async fn what_is_said_is_masked_across_pieces_on_every_surface() {
    let server = says(SAID, vec![deny(Action::Stop), pii(Action::Mask)]);
    let expected = (MASKED.to_owned(), "stop".to_owned());
    for stream in [false, true] {
        for n in [1, 3] {
            let more = json!({"stream": stream, "n": n});
            assert_eq!(choices(&server, CHAT, chat(more.clone())).await, vec![expected.clone(); n]);
            assert_eq!(choices(&server, PLAIN, plain(more)).await, vec![expected.clone(); n]);
        }
        let (text, reason) = message(&server, json!({"stream": stream})).await;
        assert_eq!((text.as_str(), reason.as_str()), (MASKED, "end_turn"));
    }
    // What was generated is counted, not what is shown.
    let (_, answer) = post(&server.router, CHAT, chat(json!({}))).await;
    assert_eq!(answer["usage"]["completion_tokens"], SAID.len() as u64 + 1);
}

#[tokio::test]
async fn a_stop_ends_the_answer_and_frees_what_it_held() {
    let said = format!("A Bad\n cat sat {}", "and sat ".repeat(200));
    let server = says(&said, vec![pii(Action::Mask), deny(Action::Stop)]);
    let expected = ("A ".to_owned(), "content_filter".to_owned());
    for stream in [false, true] {
        let more = json!({"stream": stream, "n": 2, "max_tokens": 1800});
        assert_eq!(choices(&server, CHAT, chat(more.clone())).await, vec![expected.clone(); 2]);
        assert_eq!(choices(&server, PLAIN, plain(more)).await, vec![expected.clone(); 2]);
        let (text, reason) = message(&server, json!({"stream": stream})).await;
        assert_eq!((text.as_str(), reason.as_str()), ("A ", "refusal"));
    }
    until_idle(&server.handle).await;
    let (_, answer) = post(&server.router, CHAT, chat(json!({"max_tokens": 1800}))).await;
    // Up to the character that shows that the word has ended.
    assert_eq!(answer["usage"]["completion_tokens"], "A Bad\n cat ".len());
    // Found at the very end, too.
    let server = says("A bad cat", vec![deny(Action::Stop)]);
    assert_eq!(choices(&server, CHAT, chat(json!({}))).await, [expected]);
}

#[tokio::test]
async fn a_clients_own_stop_text_comes_first() {
    let server = says("ann@example.com STOP bad cat", vec![deny(Action::Stop), pii(Action::Mask)]);
    for (stop, text) in [(" STOP", "[EMAIL]"), ("example", "ann@"), ("ann", "")] {
        for stream in [false, true] {
            let body = chat(json!({"stop": stop, "stream": stream}));
            assert_eq!(choices(&server, CHAT, body).await, [(text.into(), "stop".into())]);
        }
    }
    let (text, reason) = message(&server, json!({"stop_sequences": [" STOP"]})).await;
    assert_eq!((text.as_str(), reason.as_str()), ("[EMAIL]", "stop_sequence"));
    let cut = chat(json!({"max_tokens": 5}));
    assert_eq!(choices(&server, CHAT, cut).await, [("ann@e".into(), "length".into())]);
}

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
        (PLAIN, json!({"prompt": ["a", "xyzzy"]}), "prompt"),
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

/// Each token that is told of is there in the text, where it says; none of what was masked is.
#[tokio::test]
async fn scores_tell_nothing_of_what_was_masked() {
    let server = says(
        "é: ann@example.com, ü 4111 1111 1111 1111!",
        vec![deny(Action::Stop), pii(Action::Mask)],
    );
    for stream in [false, true] {
        let body = plain(json!({"logprobs": 0, "stream": stream}));
        let answers = if stream {
            events(&server.router, PLAIN, body).await
        } else {
            vec![post(&server.router, PLAIN, body).await.1]
        };
        let (mut text, mut told) = (String::new(), Vec::new());
        for choice in answers.iter().map(|answer| &answer["choices"][0]) {
            text += choice["text"].as_str().unwrap();
            let list = |name: &str| choice["logprobs"][name].as_array().cloned().unwrap();
            told.extend(list("tokens").into_iter().zip(list("text_offset")));
        }
        assert_eq!(text, "é: [EMAIL], ü [CREDIT_CARD]!");
        let chars: Vec<char> = text.chars().collect();
        let mut shown = String::new();
        for (token, offset) in &told {
            let (token, offset) = (token.as_str().unwrap(), offset.as_u64().unwrap() as usize);
            // A half of é or ü, or the end.
            if token.len() == 1 {
                assert_eq!(token.chars().next(), Some(chars[offset]), "{told:?}");
                shown += token;
            }
        }
        assert_eq!(shown, ": ,  !", "{told:?}");
    }
    let (_, answer) = post(&server.router, CHAT, chat(json!({"logprobs": true}))).await;
    let entries = answer["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert!(entries.iter().all(|entry| entry["token"] != "@" && entry["token"] != "4"));
}

#[tokio::test]
async fn an_echo_is_part_of_what_is_checked() {
    let server = says("ample.com, bye", vec![pii(Action::Mask)]);
    for stream in [false, true] {
        let body = plain(json!({"prompt": "to ann@ex", "echo": true, "n": 2, "stream": stream}));
        let expected = ("to [EMAIL], bye".to_owned(), "stop".to_owned());
        assert_eq!(choices(&server, PLAIN, body).await, vec![expected; 2]);
    }
    let body = plain(json!({"prompt": "to ann@ex", "echo": true, "logprobs": 0}));
    let (_, answer) = post(&server.router, PLAIN, body).await;
    let tokens = answer["choices"][0]["logprobs"]["tokens"].as_array().unwrap();
    let told: String = tokens.iter().map(|token| token.as_str().unwrap()).collect();
    assert_eq!(told, "<bos>to , bye");
    let server = says("more", vec![pii(Action::Stop)]);
    let body = plain(json!({"prompt": "ann@example.com, ", "echo": true}));
    assert_eq!(choices(&server, PLAIN, body).await, [(String::new(), "content_filter".into())]);
}

#[tokio::test]
async fn calls_thoughts_and_schemas_stay_well_formed() {
    let call = "<think>\nann@example.com?\n</think>\n\n<tool_call>\n{\"name\": \"send\", \
        \"arguments\": {\"to\": \"x\\nann@example.com\", \"card\": 4111111111111111}}\n</tool_call>";
    let server = says(call, vec![pii(Action::Mask)]);
    let tool = json!({"type": "function", "function": {"name": "send"}});
    let (_, answer) = post(&server.router, CHAT, chat(json!({"tools": [tool]}))).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["reasoning_content"], "\n[EMAIL]?\n");
    let arguments = message["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
    let arguments: Value = serde_json::from_str(arguments).unwrap();
    assert_eq!(arguments, json!({"to": "x\n[EMAIL]", "card": 0}));
    // The grammar makes the model say it.
    let properties = json!({"to": {"const": "ann@example.com"}, "all": {"type": "array",
        "items": {"const": 4111111111111111_u64}, "minItems": 2, "maxItems": 2}});
    let schema = json!({"type": "object", "properties": properties, "required": ["to", "all"],
        "additionalProperties": false});
    for stream in [false, true] {
        let body = chat(json!({"guided_json": schema, "stream": stream, "n": 2}));
        for (text, reason) in choices(&server, CHAT, body).await {
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value, json!({"to": "[EMAIL]", "all": [0, 0]}));
            assert_eq!(reason, "stop");
        }
    }
}

#[tokio::test]
async fn what_guards_do_is_counted_without_a_word_of_it() {
    let guards = Guards {
        input: vec![deny(Action::Stop), pii(Action::Mask)],
        output: vec![deny(Action::Stop), pii(Action::Mask)],
    };
    let server = server(MockModel::scripted(format!("{SAID} A bad cat!"), EOS), guards);
    post(&server.router, CHAT, chat(json!({"messages": [{"role": "user", "content": SAID}]})))
        .await;
    post(&server.router, PLAIN, plain(json!({"prompt": "xyzzy"}))).await;
    let (_, _, metrics) = get(&server.router, "/metrics").await;
    let line = |guard: &str, side: &str, action: &str, num: u32| {
        let labels = format!("action=\"{action}\",guard=\"{guard}\",side=\"{side}\"");
        format!("agentbase_guard_actions_total{{{labels}}} {num}\n")
    };
    for line in [
        line("pii", "input", "mask", 2),
        line("deny_list", "input", "stop", 1),
        line("pii", "output", "mask", 2),
        line("deny_list", "output", "stop", 1),
    ] {
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert!(!metrics.contains("ann@") && !metrics.contains("xyzzy"));
}
