//! Fits messages in OpenAI's form to what templates expect. Invariant: nothing is lost; a message
//! that needs no change is passed on as it is.

use serde_json::{Value, json};

/// What templates differ in; which a template wants shows when it is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Arguments of calls are JSON text, which some templates join to other text. Else they are
    /// objects, as in transformers' own documentation.
    texts: bool,
    /// A message without content has an empty text.
    no_nulls: bool,
}

impl Form {
    /// Those to try, in order. Only a template that asks whether there is a content
    /// (`asks_for_null`) gets null: others would show it or fail.
    pub(super) fn all(asks_for_null: bool) -> impl Iterator<Item = Self> {
        let nulls: &[bool] = if asks_for_null { &[false, true] } else { &[true] };
        let form = |texts| nulls.iter().map(move |&no_nulls| Self { texts, no_nulls });
        [false, true].into_iter().flat_map(form)
    }
}

/// The messages a template gets. Contents of text parts become one text unless it `takes_parts`;
/// where it wants nothing else, texts become parts.
pub(super) fn messages(
    messages: &Value,
    (takes_parts, wants_parts): (bool, bool),
    form: Form,
) -> Value {
    let mut messages = messages.clone();
    for message in messages.as_array_mut().into_iter().flatten() {
        let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
        for call in calls.into_iter().flatten() {
            if let Some(arguments) = call.pointer_mut("/function/arguments") {
                fit(arguments, form);
            }
        }
        if !takes_parts && let Some(text) = joined_text(&message["content"]) {
            message["content"] = Value::from(text);
        }
        if form.no_nulls && message["content"].is_null() {
            message["content"] = Value::from("");
        }
        if wants_parts && let Some(text) = message["content"].as_str() {
            message["content"] = json!([{"type": "text", "text": text}]);
        }
    }
    messages
}

fn fit(arguments: &mut Value, form: Form) {
    match (form.texts, &*arguments) {
        (false, Value::String(text)) => {
            if let Ok(object @ Value::Object(_)) = serde_json::from_str(text) {
                *arguments = object;
            }
        }
        (true, Value::Object(_)) => {
            *arguments = Value::from(super::json::python(arguments));
        }
        _ => {}
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
