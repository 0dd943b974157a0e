//! Which functions may or must be called.

use serde_json::Value;

use super::checked::{Function, clip};
use crate::ApiError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    None,
    Auto,
    Required,
    Named(String),
}

/// The choice, and the functions that it is among where it is not among all.
pub(super) fn read(
    choice: Option<&Value>,
    functions: &[Function],
) -> Result<(Choice, Option<Vec<String>>), ApiError> {
    let invalid = |message: String| Err(ApiError::invalid(Some("tool_choice"), message));
    let name = |tool: &Value, param: &str| match tool.pointer("/function/name") {
        Some(Value::String(name)) => Ok(name.clone()),
        _ => Err(ApiError::missing(&format!("{param}.function.name"))),
    };
    let (choice, allowed) = match choice {
        None | Some(Value::Null) => return Ok((Choice::Auto, None)),
        Some(Value::String(word)) => match word.as_str() {
            "none" => return Ok((Choice::None, None)),
            "auto" => return Ok((Choice::Auto, None)),
            "required" => (Choice::Required, None),
            _ => {
                let message = "'tool_choice' must be 'none', 'auto', 'required' or a function.";
                return invalid(message.to_owned());
            }
        },
        Some(object) if object["type"] == "allowed_tools" => {
            let allowed = &object["allowed_tools"];
            let choice = match allowed["mode"].as_str() {
                Some("auto") => Choice::Auto,
                Some("required") => Choice::Required,
                _ => {
                    let param = "tool_choice.allowed_tools.mode";
                    let message = format!("'{param}' must be 'auto' or 'required'.");
                    return Err(ApiError::invalid(Some(param), message));
                }
            };
            let param = "tool_choice.allowed_tools.tools";
            let tools = allowed["tools"].as_array().filter(|tools| !tools.is_empty());
            let tools = tools.ok_or_else(|| ApiError::missing(param))?;
            let names = tools.iter().enumerate();
            let names = names.map(|(idx, tool)| name(tool, &format!("{param}[{idx}]")));
            (choice, Some(names.collect::<Result<Vec<_>, _>>()?))
        }
        Some(object) => (Choice::Named(name(object, "tool_choice")?), None),
    };
    if functions.is_empty() {
        let message = "'tool_choice' is only allowed when 'tools' are specified.";
        return invalid(message.to_owned());
    }
    let named = match &choice {
        Choice::Named(name) => Some(name),
        _ => None,
    };
    let is_known = |name: &&String| functions.iter().any(|function| function.name == **name);
    match named.into_iter().chain(allowed.iter().flatten()).find(|name| !is_known(name)) {
        Some(name) => {
            invalid(format!("The function '{}' of 'tool_choice' is not in 'tools'.", clip(name)))
        }
        None => Ok((choice, allowed)),
    }
}
