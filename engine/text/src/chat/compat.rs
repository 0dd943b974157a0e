//! Fits messages in OpenAI's form to what templates expect. Invariant: nothing is lost; a message
//! that needs no change is passed on as it is.

use serde_json::Value;

/// The messages a template gets: calls' arguments as objects instead of JSON text, and, unless the
/// template `takes_parts`, contents of text parts as one text.
pub(super) fn messages(messages: &Value, takes_parts: bool) -> Value {
    let mut messages = messages.clone();
    for message in messages.as_array_mut().into_iter().flatten() {
        parse_arguments(message);
        if !takes_parts && let Some(text) = joined_text(&message["content"]) {
            message["content"] = Value::from(text);
        }
    }
    messages
}

fn parse_arguments(message: &mut Value) {
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
    for call in calls.into_iter().flatten() {
        let Some(arguments) = call.pointer_mut("/function/arguments") else { continue };
        let parsed = arguments.as_str().and_then(|text| serde_json::from_str(text).ok());
        if let Some(parsed @ Value::Object(_)) = parsed {
            *arguments = parsed;
        }
    }
}

/// The text of a list that holds nothing but text parts.
fn joined_text(content: &Value) -> Option<String> {
    let parts = content.as_array()?;
    let text = |part: &Value| match part["type"].as_str()? {
        "text" => part["text"].as_str().map(str::to_owned),
        _ => None,
    };
    let texts: Option<Vec<String>> = parts.iter().map(text).collect();
    Some(texts?.join("\n"))
}
