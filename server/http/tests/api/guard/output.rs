//! After generation.

use axum::http::StatusCode;
use engine_mock::MockModel;
use serde_json::{Value, json};
use server_guard::{Action, Guards};

use super::{
    CHAT, MASKED, PLAIN, SAID, asked, chat, choices, deny, message, pii, plain, says, server,
};
use crate::common::{EOS, events, get, post, until_idle};

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
    assert_eq!(told, "<bos>to , bye<eos>");
    let server = says("more", vec![pii(Action::Stop)]);
    let body = plain(json!({"prompt": "ann@example.com, ", "echo": true}));
    assert_eq!(choices(&server, PLAIN, body).await, [(String::new(), "content_filter".into())]);
}

#[tokio::test]
async fn calls_thoughts_and_schemas_stay_well_formed() {
    let call = concat!(
        "<think>\nann@example.com?\n</think>\n\n<tool_call>\n{\"name\": \"send\", \"arguments\": ",
        "{\"to\": \"x\\nann@example.com\", \"card\": 4111111111111111}}\n</tool_call>"
    );
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

#[tokio::test]
async fn responses_and_bedrock_say_it_in_their_own_words() {
    let ask = |path| match path {
        "/v1/responses" => json!({"model": "mock", "input": "bad cat"}),
        _ => json!({"messages": [{"role": "user", "content": [{"text": "bad cat"}]}]}),
    };
    let stops = says("A bad cat sat.", vec![deny(Action::Stop)]);
    let masks = says(SAID, vec![pii(Action::Mask)]);
    let refuses = asked(vec![deny(Action::Stop)]);
    let (filtered, incomplete) = ("content_filter", "/incomplete_details/reason");
    for (path, text, reason, word) in [
        ("/v1/responses", "/output/0/content/0/text", incomplete, filtered),
        (
            "/model/mock/converse",
            "/output/message/content/0/text",
            "/stopReason",
            "content_filtered",
        ),
    ] {
        let (status, answer) = post(&stops.router, path, ask(path)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let at = |pointer| answer.pointer(pointer).and_then(Value::as_str);
        assert_eq!((at(text), at(reason)), (Some("A "), Some(word)), "{answer}");
        let (_, answer) = post(&masks.router, path, ask(path)).await;
        assert_eq!(answer.pointer(text), Some(&json!(MASKED)), "{answer}");
        let (status, answer) = post(&refuses.router, path, ask(path)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    }
}
