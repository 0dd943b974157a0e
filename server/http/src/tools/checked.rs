//! What a request says of functions and of calls of them.

use std::collections::HashSet;

use engine_grammar::check_schema;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use server_api::ChatMessage;

use crate::ApiError;

/// OpenAI's limit.
const MAX_NAME_CHARS: usize = 64;

#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) parameters: Value,
    /// Where the client wrote those.
    pub(super) field: String,
    /// Whether arguments must fit, also where the call is the model's choice.
    pub(super) strict: bool,
}

pub(super) fn function((idx, tool): (usize, &Value)) -> Result<Function, ApiError> {
    let invalid = |field: &str, what: &str| {
        let param = format!("tools[{idx}]{field}");
        Err(ApiError::invalid(Some(&param), format!("Invalid value for '{param}': {what}.")))
    };
    if tool.get("type").and_then(Value::as_str) != Some("function") {
        return invalid(".type", "only 'function' is supported");
    }
    let Some(function) = tool.get("function").filter(|function| function.is_object()) else {
        return Err(ApiError::missing(&format!("tools[{idx}].function")));
    };
    let Some(name) = function.get("name").and_then(Value::as_str) else {
        return Err(ApiError::missing(&format!("tools[{idx}].function.name")));
    };
    let is_well = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':');
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || !name.chars().all(is_well) {
        let what = format!("a name has 1 to {MAX_NAME_CHARS} letters, digits, '_' and '-'");
        return invalid(".function.name", &what);
    }
    let parameters = match function.get("parameters") {
        None | Some(Value::Null) => json!({"type": "object", "properties": {}}),
        Some(parameters) if parameters.is_object() => parameters.clone(),
        Some(_) => return invalid(".function.parameters", "a JSON schema is an object"),
    };
    if let Err(error) = check_schema(&parameters) {
        return invalid(".function.parameters", &error.to_string());
    }
    if !matches!(&function["description"], Value::Null | Value::String(_)) {
        return invalid(".function.description", "it must be a text");
    }
    let strict = match &function["strict"] {
        Value::Null => false,
        Value::Bool(strict) => *strict,
        _ => return invalid(".function.strict", "it must be true or false"),
    };
    let field = format!("tools[{idx}].function.parameters");
    Ok(Function { name: name.to_owned(), parameters, field, strict })
}

/// Each function must have a name of its own.
pub(super) fn check_names(functions: &[Function]) -> Result<(), ApiError> {
    let mut names = HashSet::new();
    match functions.iter().position(|function| !names.insert(&function.name)) {
        Some(idx) => {
            let param = format!("tools[{idx}].function.name");
            let message = format!("Invalid value for '{param}': another tool has this name.");
            Err(ApiError::invalid(Some(&param), message))
        }
        None => Ok(()),
    }
}

/// Earlier calls, as a client of the chat writes them, must be calls.
pub(crate) fn check_calls(messages: &[ChatMessage]) -> Result<(), ApiError> {
    for (idx, message) in messages.iter().enumerate() {
        for (which, call) in message.tool_calls.iter().flatten().enumerate() {
            let param = format!("messages[{idx}].tool_calls[{which}]");
            let function = &call["function"];
            let (field, what) = match (&function["name"], &function["arguments"]) {
                _ if !call.is_object() => ("", "a call is an object"),
                _ if !function.is_object() => (".function", "a call is of a function"),
                (name, _) if !name.is_string() => (".function.name", "it must be a text"),
                (_, Value::Null | Value::Object(_)) => continue,
                (_, Value::String(text)) if is_json(text) => continue,
                _ => (".function.arguments", "it must be a text that is JSON"),
            };
            let param = format!("{param}{field}");
            let message = format!("Invalid value for '{param}': {what}.");
            return Err(ApiError::invalid(Some(&param), message));
        }
    }
    Ok(())
}

/// Some clients leave out the braces of no arguments.
fn is_json(text: &str) -> bool {
    text.trim().is_empty() || serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// As much of a name as an error repeats.
pub(super) fn clip(text: &str) -> &str {
    text.char_indices().nth(MAX_NAME_CHARS).map_or(text, |(end, _)| &text[..end])
}
