//! Calls of functions: in answers and streams, by the model's choice and by the client's.

use axum::http::StatusCode;
use engine_mock::MockModel;
use serde_json::{Value, json};

use crate::common::{EOS, Server, events, post, roomy};

/// A model that says `text` and then ends.
pub(crate) fn says(text: &str) -> Server {
    roomy(MockModel::scripted(text, EOS))
}

pub(crate) const PATH: &str = "/v1/chat/completions";
const CALL: &str = "I look.\n\
    <tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Köln\"}}\n</tool_call>\n\
    <tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n</tool_call>";

fn tools() -> Value {
    let city = json!({"type": "object", "properties": {"city": {"enum": ["Köln", "Bonn"]}},
        "required": ["city"], "additionalProperties": false});
    json!([
        {"type": "function", "function": {"name": "weather", "parameters": city}},
        {"type": "function", "function": {"name": "clock", "description": "The time"}},
    ])
}

pub(crate) fn chat(more: Value) -> Value {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let mut body = json!({"model": "mock", "messages": messages, "tools": tools()});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn calls_of_the_models_own_choice() {
    let server = says(CALL);
    let (status, answer) = post(&server.router, PATH, chat(json!({}))).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], "I look.");
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    let functions: Vec<_> = calls.iter().map(|call| &call["function"]).collect();
    let weather = json!({"name": "weather", "arguments": "{\"city\": \"Köln\"}"});
    assert_eq!(functions, [&weather, &json!({"name": "clock", "arguments": "{}"})]);
    assert!(calls.iter().all(|call| call["type"] == "function"));
    let ids: Vec<_> = calls.iter().map(|call| call["id"].as_str().unwrap()).collect();
    assert!(ids[0].starts_with("call_") && ids[0] != ids[1], "{ids:?}");
}

/// A stream's calls as clients gather them.
fn gather(events: &[Value]) -> (String, Vec<(String, String, String)>, String) {
    let (mut content, mut calls, mut reason) = (String::new(), Vec::new(), String::new());
    for choice in events.iter().map(|event| &event["choices"][0]) {
        content += choice["delta"]["content"].as_str().unwrap_or_default();
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap() as usize;
            if let Some(name) = call["function"]["name"].as_str() {
                assert_eq!((index, &call["type"]), (calls.len(), &json!("function")));
                let id = call["id"].as_str().unwrap().to_owned();
                calls.push((id, name.to_owned(), String::new()));
            }
            calls[index].2 += call["function"]["arguments"].as_str().unwrap();
        }
        reason += choice["finish_reason"].as_str().unwrap_or_default();
    }
    (content, calls, reason)
}

#[tokio::test]
async fn a_stream_brings_the_same_calls_piece_by_piece() {
    let server = says(CALL);
    let events = events(&server.router, PATH, chat(json!({"stream": true}))).await;
    let (content, calls, reason) = gather(&events);
    assert_eq!((content.as_str(), reason.as_str()), ("I look.", "tool_calls"));
    let got: Vec<_> = calls.iter().map(|(_, name, args)| (name.as_str(), args.as_str())).collect();
    assert_eq!(got, [("weather", "{\"city\": \"Köln\"}"), ("clock", "{}")]);
    let num_pieces = events.iter().filter(|e| e["choices"][0]["delta"]["tool_calls"].is_array());
    assert!(num_pieces.count() > 10, "arguments come as they are written");
}

#[tokio::test]
async fn without_tools_or_with_none_a_call_is_text() {
    let server = says(CALL);
    for more in [json!({"tools": null}), json!({"tools": []}), json!({"tool_choice": "none"})] {
        let (_, answer) = post(&server.router, PATH, chat(more)).await;
        assert_eq!(answer["choices"][0]["message"]["content"], CALL);
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        assert!(answer["choices"][0]["message"].get("tool_calls").is_none());
    }
}

#[tokio::test]
async fn a_required_call_is_made_and_fits_its_schema() {
    let rambles = MockModel { eos_token: Some(EOS), eos_probability: 0.2, ..MockModel::default() };
    let server = roomy(rambles);
    let named = json!({"type": "function", "function": {"name": "weather"}});
    for (choice, parallel, reason) in [
        (json!("required"), true, "tool_calls"),
        (json!("required"), false, "tool_calls"),
        (named, true, "stop"),
    ] {
        for stream in [false, true] {
            // Without a bound a model that rambles might call for ever.
            let more = json!({"tool_choice": choice, "parallel_tool_calls": parallel, "n": 1,
                "max_tokens": 400, "stream": stream});
            let (calls, finish) = if stream {
                let (content, calls, reason) =
                    gather(&events(&server.router, PATH, chat(more)).await);
                assert_eq!(content, "");
                (calls.into_iter().map(|(_, name, args)| (name, args)).collect::<Vec<_>>(), reason)
            } else {
                let (status, answer) = post(&server.router, PATH, chat(more)).await;
                assert_eq!(status, StatusCode::OK, "{answer}");
                let choice = &answer["choices"][0];
                assert_eq!(choice["message"]["content"], Value::Null);
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let call = |call: &Value| {
                    (text(&call["function"]["name"]), text(&call["function"]["arguments"]))
                };
                let calls = choice["message"]["tool_calls"].as_array().unwrap();
                (calls.iter().map(call).collect(), text(&choice["finish_reason"]))
            };
            assert!(!calls.is_empty() && (parallel || calls.len() == 1), "{calls:?}");
            if finish == "length" {
                continue;
            }
            assert_eq!(finish, reason, "{calls:?}");
            for (name, arguments) in &calls {
                let arguments: Value = serde_json::from_str(arguments).unwrap();
                match name.as_str() {
                    "weather" => {
                        assert!(["Köln", "Bonn"].contains(&arguments["city"].as_str().unwrap()))
                    }
                    name => assert!(name == "clock" && reason != "stop" && arguments.is_object()),
                }
            }
        }
    }
}

#[tokio::test]
async fn an_answer_of_a_form_may_be_calls_instead() {
    let schema = json!({"type": "object", "properties": {"said": {"const": "<tool_call>"}},
        "required": ["said"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let (call, said) = (CALL.trim_start_matches("I look.\n"), "{\"said\": \"<tool_call>\"}");
    for stream in [false, true] {
        let asked = chat(json!({"response_format": format, "max_tokens": 300, "stream": stream}));
        for (text, content, num_calls) in [(call, "", 2), (said, said, 0)] {
            let server = says(text);
            let (got, num, reason) = if stream {
                let (got, calls, reason) =
                    gather(&events(&server.router, PATH, asked.clone()).await);
                (got, calls.len(), reason)
            } else {
                let (_, answer) = post(&server.router, PATH, asked.clone()).await;
                let choice = &answer["choices"][0];
                let got = choice["message"]["content"].as_str().unwrap_or_default().to_owned();
                let num = choice["message"]["tool_calls"].as_array().map_or(0, Vec::len);
                (got, num, choice["finish_reason"].as_str().unwrap().to_owned())
            };
            assert_eq!((got.as_str(), num), (content, num_calls), "{reason}");
            assert_eq!(reason, if num > 0 { "tool_calls" } else { "stop" });
        }
    }
}

#[tokio::test]
async fn only_allowed_functions_are_told_of_and_called() {
    let server = roomy(MockModel { eos_token: Some(EOS), ..MockModel::default() });
    let allow = |mode: &str, name: &str| {
        let clock = json!({"type": "function", "function": {"name": name}});
        let allowed = json!({"mode": mode, "tools": [clock]});
        json!({"tool_choice": {"type": "allowed_tools", "allowed_tools": allowed},
            "max_tokens": 200, "parallel_tool_calls": false})
    };
    let (_, answer) = post(&server.router, PATH, chat(allow("required", "clock"))).await;
    let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(call["name"], "clock", "{answer}");
    let (_, answer) = post(&server.router, PATH, chat(allow("auto", "clock"))).await;
    let mut clock = chat(json!({"max_tokens": 200}));
    clock["tools"].as_array_mut().unwrap().remove(0);
    let (_, alone) = post(&server.router, PATH, clock).await;
    assert_eq!(answer["usage"]["prompt_tokens"], alone["usage"]["prompt_tokens"]);
    for (more, param) in [
        (allow("auto", "g"), "tool_choice"),
        (allow("perhaps", "clock"), "tool_choice.allowed_tools.mode"),
        (
            json!({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}}),
            "tool_choice.allowed_tools.tools",
        ),
    ] {
        let (status, answer) = post(&server.router, PATH, chat(more)).await;
        assert_eq!((status, &answer["error"]["param"]), (StatusCode::BAD_REQUEST, &param.into()));
    }
}

#[tokio::test]
async fn a_required_call_that_is_cut_is_not_content() {
    let server = says("");
    for max_tokens in [1, 6, 12, 20] {
        let asked = json!({"tool_choice": "required", "max_tokens": max_tokens});
        let (_, answer) = post(&server.router, PATH, chat(asked.clone())).await;
        let choice = &answer["choices"][0];
        assert_eq!(choice["finish_reason"], "length", "{answer}");
        assert_eq!(choice["message"]["content"], "", "{answer}");
        let mut streamed = chat(asked);
        streamed["stream"] = true.into();
        let (content, _, reason) = gather(&events(&server.router, PATH, streamed).await);
        assert_eq!((content.as_str(), reason.as_str()), ("", "length"));
    }
}

#[tokio::test]
async fn arguments_of_strict_functions_fit_where_the_call_is_the_models_choice() {
    let said = "<think>\nHm.\n</think>\n\nI look.\n";
    let call = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n";
    let server = says(&format!("{said}{call}</tool_call>"));
    let strict = |strict: bool| {
        let mut tools = tools();
        tools[0]["function"]["strict"] = strict.into();
        json!({"tools": tools, "max_tokens": 300})
    };
    for (is_strict, cities) in [(false, ["Oslo"; 2]), (true, ["Köln", "Bonn"])] {
        let (status, answer) = post(&server.router, PATH, chat(strict(is_strict))).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let message = &answer["choices"][0]["message"];
        assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls", "{answer}");
        // What is thought and said is free.
        assert_eq!(
            (&message["reasoning_content"], &message["content"]),
            (&json!("\nHm.\n"), &json!("I look."))
        );
        let mut asked = strict(is_strict);
        asked["stream"] = true.into();
        let (content, calls, _) = gather(&events(&server.router, PATH, chat(asked)).await);
        assert_eq!(content, "I look.");
        let whole = message["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
        for arguments in [whole, &calls[0].2] {
            let arguments: Value = serde_json::from_str(arguments).unwrap();
            assert!(cities.contains(&arguments["city"].as_str().unwrap()), "{arguments}");
        }
    }
    // Nothing need be called, and another form is still a form.
    let silent = says("No call.");
    let (_, answer) = post(&silent.router, PATH, chat(strict(true))).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "No call.");
    let mut formed = strict(true);
    formed["guided_choice"] = json!(["Yes"]);
    let (_, answer) = post(&silent.router, PATH, chat(formed)).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "Yes", "{answer}");
    // What cannot be held to is refused, and what need not be is not looked at.
    let mut impossible = strict(true);
    impossible["tools"][0]["function"]["parameters"] = json!({"not": {}});
    let (status, answer) = post(&silent.router, PATH, chat(impossible.clone())).await;
    let param = json!("tools[0].function.parameters");
    assert_eq!((status, &answer["error"]["param"]), (StatusCode::BAD_REQUEST, &param));
    impossible["tools"][0]["function"]["strict"] = false.into();
    assert_eq!(post(&silent.router, PATH, chat(impossible)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn thoughts_come_by_themselves() {
    let server = says("<think>\nHm.\n</think>\n\nHello");
    let (_, answer) = post(&server.router, PATH, chat(json!({"tools": null}))).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!(
        (&message["reasoning_content"], &message["content"]),
        (&json!("\nHm.\n"), &json!("Hello"))
    );
    let events = events(&server.router, PATH, chat(json!({"tools": null, "stream": true}))).await;
    let join = |field: &str| {
        let pieces = events.iter().filter_map(|e| e["choices"][0]["delta"][field].as_str());
        pieces.collect::<String>()
    };
    assert_eq!((join("reasoning_content"), join("content")), ("\nHm.\n".into(), "Hello".into()));
}
