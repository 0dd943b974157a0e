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
            "tools",
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
