//! A chat's messages as the model's template wants them.
//!
//! Invariant: roles and forms are those that templates know; a model whose template knows nothing
//! of tools is told of them in words.

use serde_json::{Value, json};
use server_api::{ChatMessage, Content, ContentPart, Role};

use crate::{ApiError, images};

/// The messages as templates know them: no `developer`, no message without content. There are
/// parts for so many images that were taken out.
pub(crate) fn for_template(
    messages: Vec<ChatMessage>,
    mut num_images: usize,
) -> Result<Vec<Value>, ApiError> {
    let messages = messages.into_iter().enumerate().map(|(idx, mut message)| {
        let path = format!("messages[{idx}].content");
        match &mut message.content {
            Some(Content::Text(_)) => {}
            Some(Content::Parts(parts)) => {
                check_parts(message.role, parts, &mut num_images, &path)?
            }
            None if message.role == Role::Assistant => {
                message.content = Some(Content::Text(String::new()));
            }
            None => return Err(ApiError::missing(&path)),
        }
        if message.role == Role::Developer {
            message.role = Role::System;
        }
        message.tool_calls.iter_mut().flatten().for_each(read_arguments);
        serde_json::to_value(message).map_err(|_| ApiError::internal())
    });
    messages.collect()
}

fn check_parts(
    role: Role,
    parts: &mut [ContentPart],
    num_images: &mut usize,
    path: &str,
) -> Result<(), ApiError> {
    for (idx, part) in parts.iter_mut().enumerate() {
        // To the model it is what it said.
        if part.kind == "refusal" && role == Role::Assistant {
            let refusal = part.refusal.take();
            let missing = || ApiError::missing(&format!("{path}[{idx}].refusal"));
            (part.kind, part.text) = ("text".to_owned(), Some(refusal.ok_or_else(missing)?));
        }
        if part.kind == images::IMAGE && *num_images > 0 {
            *num_images -= 1;
            continue;
        }
        if part.kind != "text" {
            return Err(images::unsupported(&part.kind, &format!("{path}[{idx}]")));
        }
        if part.text.is_none() {
            return Err(ApiError::missing(&format!("{path}[{idx}].text")));
        }
    }
    Ok(())
}

/// Clients send arguments as JSON in a string, templates want them read.
fn read_arguments(call: &mut Value) {
    let Some(arguments) = call.pointer_mut("/function/arguments") else { return };
    let read = arguments.as_str().and_then(|text| serde_json::from_str(text).ok());
    if let Some(read @ Value::Object(_)) = read {
        *arguments = read;
    }
}

/// For a template that does not: tells of the tools before all else, and writes earlier calls and
/// their results into the texts.
pub(crate) fn write_out_tools(messages: &mut Vec<Value>, tools: Option<&[Value]>) {
    for message in messages.iter_mut() {
        if let Some(Value::Array(calls)) = message.get_mut("tool_calls").map(Value::take) {
            let calls = calls.iter().filter_map(|call| call.get("function"));
            let calls = calls.map(|call| format!("<tool_call>\n{call}\n</tool_call>"));
            let said = text(message);
            let parts: Vec<String> =
                Some(said).filter(|s| !s.is_empty()).into_iter().chain(calls).collect();
            message["content"] = parts.join("\n").into();
        }
        if message["role"] == "tool" {
            let result = format!("<tool_response>\n{}\n</tool_response>", text(message));
            *message = json!({"role": "user", "content": result});
        }
    }
    let Some(tools) = tools else { return };
    let tools: Vec<String> = tools.iter().map(Value::to_string).collect();
    let told = format!(
        "You may call functions to help with what the user asks. They are, as JSON:\n<tools>\n{}\n\
         </tools>\nTo call one, answer with its name and arguments:\n<tool_call>\n{{\"name\": \
         <name>, \"arguments\": <arguments as JSON>}}\n</tool_call>",
        tools.join("\n")
    );
    match messages.first_mut().filter(|first| first["role"] == "system") {
        Some(first) => first["content"] = format!("{}\n\n{told}", text(first)).into(),
        None => messages.insert(0, json!({"role": "system", "content": told})),
    }
}

/// What a message says.
fn text(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_without_tools_is_told_in_words() {
        let messages = json!([
            {"role": "user", "content": "What time is it?"},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"id": "x", "type": "function",
                    "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},
            {"role": "tool", "tool_call_id": "x", "content": [{"type": "text", "text": "noon"}]},
        ]);
        let messages = serde_json::from_value(messages).unwrap();
        let mut messages = for_template(messages, 0).unwrap();
        assert_eq!(messages[1]["tool_calls"][0]["function"]["arguments"], json!({"a": 1}));
        let tool = json!({"type": "function", "function": {"name": "f"}});
        write_out_tools(&mut messages, Some(std::slice::from_ref(&tool)));
        let system = messages[0]["content"].as_str().unwrap();
        assert!(messages[0]["role"] == "system" && system.contains(&tool.to_string()), "{system}");
        let call = "I look.\n<tool_call>\n{\"name\":\"f\",\"arguments\":{\"a\":1}}\n</tool_call>";
        assert_eq!(messages[2]["content"], call);
        let result = json!({"role": "user", "content": "<tool_response>\nnoon\n</tool_response>"});
        assert_eq!(messages[3], result);
        // What is there already is kept.
        let mut messages = vec![json!({"role": "system", "content": "Be brief."})];
        write_out_tools(&mut messages, Some(&[tool]));
        assert!(
            messages.len() == 1
                && messages[0]["content"].as_str().unwrap().starts_with("Be brief.")
        );
    }
}
