//! From items to the messages of a chat.

use std::collections::HashSet;

use serde_json::{Value, json};
use server_api::{ChatMessage, Content, ContentPart, Role};

use crate::ApiError;

/// The messages of all items.
pub(super) fn of_items(instructions: Option<&str>, items: &[Value]) -> Vec<ChatMessage> {
    let mut messages = Vec::new();
    if let Some(instructions) = instructions {
        messages.push(message(Role::System, Content::Text(instructions.to_owned())));
    }
    // What was thought goes with what is said or called next.
    let mut thought = None;
    for item in items {
        add(&mut messages, &mut thought, item);
    }
    messages
}

/// Each result must answer a call that came before it; the last `num_new` items are the request's
/// own.
pub(super) fn check_results(items: &[Value], num_new: usize) -> Result<(), ApiError> {
    let mut called = HashSet::new();
    for (idx, item) in items.iter().enumerate() {
        let call_id = item["call_id"].as_str().unwrap_or_default();
        match item["type"].as_str() {
            Some("function_call") => {
                called.insert(call_id);
            }
            Some("function_call_output") if !called.contains(call_id) => {
                let call_id: String = call_id.chars().take(64).collect();
                let message =
                    format!("No tool call found for function call output with call_id {call_id}.");
                let num_before = items.len() - num_new;
                let param = format!("input[{}].call_id", idx.saturating_sub(num_before));
                return Err(ApiError::invalid(Some(&param), message));
            }
            _ => {}
        }
    }
    Ok(())
}

fn add(messages: &mut Vec<ChatMessage>, thought: &mut Option<String>, item: &Value) {
    let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
    match item["type"].as_str() {
        Some("message") => {
            let role = match item["role"].as_str() {
                Some("assistant") => Role::Assistant,
                Some("system" | "developer") => Role::System,
                _ => Role::User,
            };
            let mut message = message(role, content(&item["content"]));
            if role == Role::Assistant {
                message.reasoning_content = thought.take();
            }
            messages.push(message);
        }
        Some("function_call") => {
            let call = json!({"id": text("call_id"), "type": "function",
                "function": {"name": text("name"), "arguments": text("arguments")}});
            // Calls belong to what was said just before them, and to each other.
            let last = messages.last_mut().filter(|last| last.role == Role::Assistant);
            match last.filter(|_| thought.is_none()) {
                Some(last) => last.tool_calls.get_or_insert_default().push(call),
                None => messages.push(ChatMessage {
                    tool_calls: Some(vec![call]),
                    reasoning_content: thought.take(),
                    ..message(Role::Assistant, Content::Text(String::new()))
                }),
            }
        }
        Some("function_call_output") => {
            let output = match &item["output"] {
                Value::String(text) => Content::Text(text.clone()),
                parts => content(parts),
            };
            let message = message(Role::Tool, output);
            messages.push(ChatMessage { tool_call_id: Some(text("call_id")), ..message });
        }
        Some("reasoning") => {
            let parts = ["content", "summary"].map(|field| &item[field]);
            let texts = parts.into_iter().flat_map(|parts| parts.as_array().into_iter().flatten());
            let texts: Vec<&str> = texts.filter_map(|part| part["text"].as_str()).collect();
            *thought = Some(texts.join("\n")).filter(|text| !text.is_empty());
        }
        _ => {}
    }
}

fn message(role: Role, content: Content) -> ChatMessage {
    ChatMessage {
        role,
        content: Some(content),
        name: None,
        tool_calls: None,
        tool_call_id: None,
        reasoning_content: None,
    }
}

/// One part is a text; templates know how to join several.
fn content(parts: &Value) -> Content {
    let texts = parts.as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
    let mut texts: Vec<String> = texts.map(str::to_owned).collect();
    if texts.len() < 2 {
        return Content::Text(texts.pop().unwrap_or_default());
    }
    let part = |text| ContentPart { kind: "text".to_owned(), text: Some(text), refusal: None };
    Content::Parts(texts.into_iter().map(part).collect())
}
