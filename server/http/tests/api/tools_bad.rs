//! Functions and calls that make no sense, and what is said of them.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::common::post;
use crate::tools::{PATH, chat, says};

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let server = says("");
    let function = |function: Value| json!([{"type": "function", "function": function}]);
    let result = |id: &str| {
        json!([{"role": "user", "content": "a"},
            {"role": "assistant", "tool_calls": [{"id": "x", "type": "function",
                "function": {"name": "clock", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": id, "content": "noon"}])
    };
    let many: Vec<Value> = (0..129)
        .map(|i| json!({"type": "function", "function": {"name": format!("f{i}")}}))
        .collect();
    for (more, param) in [
        (json!({"tools": [{"type": "retrieval"}]}), "tools[0].type"),
        (json!({"tools": [1]}), "tools[0].type"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].function"),
        (json!({"tools": function(json!({}))}), "tools[0].function.name"),
        (json!({"tools": function(json!({"name": "a b"}))}), "tools[0].function.name"),
        (json!({"tools": function(json!({"name": "x".repeat(65)}))}), "tools[0].function.name"),
        (
            json!({"tools": function(json!({"name": "f", "parameters": []}))}),
            "tools[0].function.parameters",
        ),
        (json!({"tools": many}), "tools"),
        (json!({"tool_choice": "perhaps"}), "tool_choice"),
        (json!({"tool_choice": {"type": "function"}}), "tool_choice.function.name"),
        (json!({"tool_choice": {"type": "function", "function": {"name": "g"}}}), "tool_choice"),
        (json!({"tools": null, "tool_choice": "required"}), "tool_choice"),
        (json!({"tool_choice": "required", "guided_regex": "a"}), "tool_choice"),
        (
            json!({"tools": function(json!({"name": "f", "parameters": {"not": {}}})),
                "tool_choice": "required"}),
            "tools[0].function.parameters",
        ),
        (json!({"messages": result("y")}), "messages[2].tool_call_id"),
        (json!({"messages": [{"role": "tool", "content": "noon"}]}), "messages[0].tool_call_id"),
    ] {
        let (status, answer) = post(&server.router, PATH, chat(more.clone())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{more}: {answer}");
        assert_eq!(answer["error"]["param"], param, "{more}: {answer}");
    }
    let (status, _) = post(&server.router, PATH, chat(json!({"messages": result("x")}))).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_function_and_what_is_no_call_is_refused_by_name() {
    let server = says("");
    let tool = |more: Value| {
        let mut function = json!({"name": "f"});
        function.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"tools": [{"type": "function", "function": function}]})
    };
    let schema = |more: Value| {
        let mut parameters = json!({"type": "object"});
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tool(json!({"parameters": parameters}))
    };
    let called = |call: Value| {
        json!({"messages": [{"role": "user", "content": "a"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "x", "content": "b"}]})
    };
    let function =
        |function: Value| called(json!({"id": "x", "type": "function", "function": function}));
    let mut twice = tool(json!({}));
    let again = twice["tools"][0].clone();
    twice["tools"].as_array_mut().unwrap().push(again);
    let (field, call) = ("tools[0].function", "messages[1].tool_calls[0]");
    for (more, param) in [
        (schema(json!({"type": "strange"})), format!("{field}.parameters")),
        (schema(json!({"type": ["object", 1]})), format!("{field}.parameters")),
        (schema(json!({"properties": ["a"]})), format!("{field}.parameters")),
        (schema(json!({"properties": {"a": "string"}})), format!("{field}.parameters")),
        (schema(json!({"required": "a"})), format!("{field}.parameters")),
        (schema(json!({"anyOf": {}})), format!("{field}.parameters")),
        (schema(json!({"items": {"$ref": "#/nope"}})), format!("{field}.parameters")),
        (tool(json!({"description": 5})), format!("{field}.description")),
        (tool(json!({"strict": "yes"})), format!("{field}.strict")),
        (twice, "tools[1].function.name".to_owned()),
        (called(json!("x")), call.to_owned()),
        (called(json!({"id": "x", "type": "function"})), format!("{call}.function")),
        (function(json!({"name": 5, "arguments": "{}"})), format!("{call}.function.name")),
        (function(json!({"name": "f", "arguments": "{bad"})), format!("{call}.function.arguments")),
    ] {
        let (status, answer) = post(&server.router, PATH, chat(more.clone())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{more}: {answer}");
        assert_eq!(answer["error"]["param"], param, "{more}: {answer}");
    }
    let good = json!({"$defs": {"a": {"type": ["string", "null"]}}, "required": ["b"],
        "properties": {"b": {"$ref": "#/$defs/a"}, "type": {"const": {"type": "x"}}}});
    let function = function(json!({"name": "f", "arguments": ""}));
    for more in [schema(good), function, tool(json!({"description": null, "strict": null}))] {
        assert_eq!(post(&server.router, PATH, chat(more)).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn the_function_whose_schema_cannot_be_honoured_is_named_in_the_clients_words() {
    let server = says("");
    let one_of = json!({"oneOf": [{"type": "string"}, {"type": "string", "minLength": 2}]});
    for (schema, says) in [
        (json!({"not": {}}), "Unimplemented keys: [\"not\"]."),
        (one_of, "use 'anyOf'."),
        (json!({"$ref": "other.json"}), "ref 'other.json'."),
    ] {
        for more in [json!({"tool_choice": "required"}), json!({"guided_choice": ["a"]})] {
            let mut asked = chat(more.clone());
            let function = &mut asked["tools"][1]["function"];
            function["parameters"] = json!({"type": "object", "properties": {"a": schema}});
            function["strict"] = true.into();
            let (status, answer) = post(&server.router, PATH, asked).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
            assert_eq!(answer["error"]["param"], "tools[1].function.parameters", "{more}");
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.ends_with(says), "{message}");
            let is_ours = ["call", "feature", "option", " | ", "at "];
            assert!(!is_ours.iter().any(|word| message.contains(word)), "{message}");
        }
    }
}
