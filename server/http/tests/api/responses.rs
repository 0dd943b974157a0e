//! OpenAI's Responses API: what is answered, whole and in events.

use engine_mock::MockModel;
use serde_json::{Value, json};
use server_store::Limits;

use crate::common::EOS;
use crate::kept::{kept, says};

pub(crate) const PATH: &str = "/v1/responses";
const CALL: &str = "<think>\nHm.\n</think>\n\nI look.\n<tool_call>\n\
    {\"name\": \"weather\", \"arguments\": {\"city\": \"Köln\"}}\n</tool_call>";

pub(crate) fn ask(more: Value) -> Value {
    let mut body = json!({"model": "mock", "input": "hello"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

pub(crate) fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"enum": ["Köln"]}},
        "required": ["city"], "additionalProperties": false});
    json!([{"type": "function", "name": "weather", "parameters": schema, "strict": true}])
}

pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_response_is_complete() {
    let server = says("Hello").await;
    let asked = json!({"instructions": "Be brief.", "metadata": {"k": "v"}, "temperature": 0.5,
        "top_p": 0.9, "max_output_tokens": 50, "reasoning": {"effort": "low"}, "user": "u",
        "text": {"verbosity": "low"}, "truncation": "disabled", "service_tier": "auto",
        "prompt_cache_key": "p", "safety_identifier": "s", "max_tool_calls": 3,
        "stream_options": null, "include": ["reasoning.encrypted_content"]});
    let mut answer = server.post(PATH, ask(asked)).await;
    let item = answer["output"][0].as_object_mut().unwrap();
    assert!(item.remove("id").unwrap().as_str().unwrap().starts_with("msg_"));
    let content = json!([{"type": "output_text", "text": "Hello", "annotations": [],
        "logprobs": []}]);
    let message = json!([{"type": "message", "status": "completed", "role": "assistant",
        "content": content}]);
    let fields = answer.as_object_mut().unwrap();
    assert!(fields.remove("id").unwrap().as_str().unwrap().starts_with("resp_"));
    assert!(fields.remove("created_at").unwrap().as_u64().unwrap() > 1_700_000_000);
    assert!(fields.remove("completed_at").unwrap().as_u64().unwrap() > 1_700_000_000);
    let usage = fields.remove("usage").unwrap();
    let input = usage["input_tokens"].as_u64().unwrap();
    assert_eq!(
        usage,
        json!({"input_tokens": input,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 6, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input + 6})
    );
    assert_eq!(
        answer,
        json!({"object": "response", "status": "completed", "background": false,
        "error": null, "incomplete_details": null, "instructions": "Be brief.",
        "max_output_tokens": 50, "max_tool_calls": 3, "model": "mock", "output": message,
        "parallel_tool_calls": true, "previous_response_id": null, "conversation": null,
        "prompt_cache_key": "p", "reasoning": {"effort": "low", "summary": null},
        "safety_identifier": "s", "service_tier": "default", "store": true, "temperature": 0.5,
        "text": {"format": {"type": "text"}, "verbosity": "low"}, "tool_choice": "auto",
        "tools": [], "top_logprobs": 0, "top_p": 0.9, "truncation": "disabled", "user": "u",
        "metadata": {"k": "v"}})
    );
}

#[tokio::test]
async fn events_of_a_text_come_in_openais_order() {
    let server = says("Hi").await;
    let events = server.events("POST", PATH, ask(json!({"stream": true}))).await;
    assert_eq!(
        types(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(events[0]["response"]["status"], "in_progress");
    assert_eq!(events[0]["response"]["output"], json!([]));
    let response = &events.last().unwrap()["response"];
    let item = &response["output"][0];
    assert_eq!(
        events[2]["item"],
        json!({"type": "message", "id": item["id"],
        "status": "in_progress", "role": "assistant", "content": []})
    );
    let empty = json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
    assert_eq!(events[3]["part"], empty);
    for event in &events[3..8] {
        assert_eq!((&event["item_id"], &event["output_index"]), (&item["id"], &json!(0)));
        assert_eq!(event["content_index"], 0);
    }
    let deltas: Vec<&Value> = events[4..6].iter().map(|event| &event["delta"]).collect();
    assert_eq!(deltas, ["H", "i"]);
    assert_eq!((&events[6]["text"], &events[6]["logprobs"]), (&json!("Hi"), &json!([])));
    assert_eq!(&events[7]["part"], &item["content"][0]);
    assert_eq!(&events[8]["item"], item);
    // What was streamed is what is kept.
    assert_eq!(response["usage"]["output_tokens"], 3);
    assert_eq!(
        &server.get(&format!("{PATH}/{}", response["id"].as_str().unwrap())).await,
        response
    );
}

#[tokio::test]
async fn thoughts_texts_and_calls_are_items() {
    let server = says(CALL).await;
    let answer = server.post(PATH, ask(json!({"tools": tools()}))).await;
    let output = answer["output"].as_array().unwrap();
    assert_eq!(output[0]["type"], "reasoning");
    assert_eq!(
        (&output[0]["summary"], &output[0]["content"][0]["text"]),
        (&json!([]), &json!("\nHm.\n"))
    );
    assert_eq!(output[1]["content"][0]["text"], "I look.");
    let call = &output[2];
    assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("weather")));
    assert_eq!(call["arguments"], "{\"city\": \"Köln\"}");
    assert!(call["id"].as_str().unwrap().starts_with("fc_"));
    assert!(call["call_id"].as_str().unwrap().starts_with("call_"));
    let reasoning = answer["usage"]["output_tokens_details"]["reasoning_tokens"].as_u64().unwrap();
    assert_eq!(reasoning, 5);

    let events = server.events("POST", PATH, ask(json!({"tools": tools(), "stream": true}))).await;
    let mut kinds = types(&events);
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.reasoning_text.delta",
            "response.reasoning_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let joined = |kind: &str| {
        let deltas = events.iter().filter(|event| event["type"] == kind);
        deltas.map(|event| event["delta"].as_str().unwrap()).collect::<String>()
    };
    assert_eq!(joined("response.reasoning_text.delta"), "\nHm.\n");
    assert_eq!(joined("response.output_text.delta"), "I look.");
    let arguments = joined("response.function_call_arguments.delta");
    assert_eq!(arguments, "{\"city\": \"Köln\"}");
    let done = events.iter().find(|e| e["type"] == "response.function_call_arguments.done");
    assert_eq!(done.unwrap()["arguments"], *arguments);
    let response = &events.last().unwrap()["response"];
    let items = events.iter().filter(|event| event["type"] == "response.output_item.done");
    for (index, event) in items.enumerate() {
        assert_eq!(event["output_index"], index);
        assert_eq!(event["item"], response["output"][index]);
        assert_eq!(event["item"]["status"], "completed");
    }
}

#[tokio::test]
async fn what_is_cut_is_incomplete_and_says_why() {
    let server = says("Hello").await;
    let answer = server.post(PATH, ask(json!({"max_output_tokens": 2}))).await;
    assert_eq!((&answer["status"], &answer["completed_at"]), (&json!("incomplete"), &Value::Null));
    assert_eq!(answer["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(answer["output"][0]["status"], "incomplete");
    assert_eq!(answer["output"][0]["content"][0]["text"], "He");
    let cut = json!({"max_output_tokens": 2, "stream": true});
    let events = server.events("POST", PATH, ask(cut)).await;
    assert_eq!(types(&events).last(), Some(&"response.incomplete"));
    // Nothing at all is a message too.
    let answer = says("").await.post(PATH, ask(json!({}))).await;
    assert_eq!(answer["output"][0]["content"][0]["text"], "");
}

#[tokio::test]
async fn log_probabilities_come_with_the_text() {
    let server = says("aé").await;
    let asked = json!({"include": ["message.output_text.logprobs"], "top_logprobs": 2});
    let answer = server.post(PATH, ask(asked.clone())).await;
    let logprobs = answer["output"][0]["content"][0]["logprobs"].as_array().unwrap();
    let bytes: Vec<&Value> = logprobs.iter().map(|entry| &entry["bytes"]).collect();
    assert_eq!(bytes, [&json!([97]), &json!([195]), &json!([169])]);
    assert!(logprobs.iter().all(|entry| entry["top_logprobs"].as_array().unwrap().len() == 2));
    let mut asked = ask(asked);
    asked["stream"] = true.into();
    let events = server.events("POST", PATH, asked).await;
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    let streamed: Vec<&Value> = deltas.flat_map(|e| e["logprobs"].as_array().unwrap()).collect();
    assert_eq!(streamed, logprobs.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_call_is_answered_and_can_be_forced() {
    let rambles = MockModel { eos_token: Some(EOS), eos_probability: 0.2, ..MockModel::default() };
    let server = kept(rambles, Limits::default()).await;
    let other = json!({"type": "function", "name": "other"});
    let mut both = tools();
    both.as_array_mut().unwrap().push(other);
    for choice in [
        json!("required"),
        json!({"type": "function", "name": "weather"}),
        json!({"type": "allowed_tools", "mode": "required",
            "tools": [{"type": "function", "name": "weather"}]}),
    ] {
        let tools = if choice == "required" { tools() } else { both.clone() };
        let more = json!({"tools": tools, "tool_choice": choice, "parallel_tool_calls": false});
        let answer = server.post(PATH, ask(more)).await;
        assert_eq!(answer["output"][0]["name"], "weather", "{answer}");
        let arguments = answer["output"][0]["arguments"].as_str().unwrap();
        let arguments: Value = serde_json::from_str(arguments).unwrap();
        assert_eq!(arguments, json!({"city": "Köln"}));
        assert_eq!((&answer["tool_choice"], &answer["tools"]), (&choice, &tools));
    }
    let items = json!([
        {"role": "user", "content": "hello"},
        {"type": "reasoning", "id": "rs_1", "summary": [],
            "content": [{"type": "reasoning_text", "text": "t"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "I look.",
            "annotations": []}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c2", "output": "21"},
        {"type": "function_call_output", "call_id": "c1",
            "output": [{"type": "input_text", "text": "22"}]},
        {"type": "message", "role": "developer", "content": "Be brief."},
    ]);
    server.post(PATH, ask(json!({"input": items, "tools": tools()}))).await;
}

#[tokio::test]
async fn a_schema_is_matched() {
    let rambles = MockModel { eos_token: Some(EOS), eos_probability: 0.2, ..MockModel::default() };
    let server = kept(rambles, Limits::default()).await;
    let schema = json!({"type": "object", "properties": {"a": {"enum": [1, 2]}},
        "required": ["a"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "name": "n", "schema": schema, "strict": true});
    let answer = server.post(PATH, ask(json!({"text": {"format": format}}))).await;
    let text = answer["output"][0]["content"][0]["text"].as_str().unwrap();
    let value: Value = serde_json::from_str(text).unwrap();
    assert!(value == json!({"a": 1}) || value == json!({"a": 2}), "{text}");
    assert_eq!(answer["text"]["format"], format);
}

#[tokio::test]
async fn input_tokens_are_counted_as_they_are_used() {
    let server = says("Hello").await;
    let more = json!({"instructions": "Be brief.", "tools": tools()});
    let answer = server.post(PATH, ask(more.clone())).await;
    let counted = server.post("/v1/responses/input_tokens", ask(more)).await;
    assert_eq!(counted["object"], "response.input_tokens");
    assert_eq!(counted["input_tokens"], answer["usage"]["input_tokens"]);
}

#[tokio::test]
async fn what_is_too_long_is_cut_only_if_asked() {
    let server = says("ok").await;
    let long = "x".repeat(900);
    let items: Vec<Value> = (0..4).map(|_| json!({"role": "user", "content": long})).collect();
    let body = |truncation: &str| ask(json!({"input": items, "truncation": truncation}));
    let (status, param, code) = server.error("POST", PATH, body("disabled")).await;
    assert_eq!((status, param), (400, json!("input")));
    assert_eq!(code, "context_length_exceeded");
    let answer = server.post(PATH, body("auto")).await;
    let input = answer["usage"]["input_tokens"].as_u64().unwrap();
    assert!((900..2048).contains(&input), "{input}");
    // One that is too long by itself is not cut.
    let alone = ask(json!({"input": "x".repeat(3000), "truncation": "auto"}));
    assert_eq!(server.error("POST", PATH, alone).await.2, "context_length_exceeded");
}
