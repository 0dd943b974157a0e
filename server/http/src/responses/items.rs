//! Items that clients send: checked, and brought into the one form they are kept and listed in.
//!
//! Invariant: past this module an item has a type that is known, an id, and its texts in place.

use serde_json::{Map, Value, json};

use crate::ApiError;
use crate::wire::new_id;

const MAX_ID_CHARS: usize = 64;

/// Items of a request, in their one form; `param` is where they came from.
pub(crate) fn checked(items: Vec<Value>, param: &str) -> Result<Vec<Value>, ApiError> {
    let item = |(idx, item)| checked_item(item, &format!("{param}[{idx}]"));
    items.into_iter().enumerate().map(item).collect()
}

/// What a user says.
pub(super) fn said(text: String) -> Value {
    let content = json!([{"type": "input_text", "text": text}]);
    json!({"type": "message", "id": new_id("msg"), "status": "completed", "role": "user",
        "content": content})
}

fn checked_item(item: Value, path: &str) -> Result<Value, ApiError> {
    let Value::Object(fields) = item else {
        return Err(invalid(path, "an item is an object"));
    };
    let item = Fields { fields, path };
    let kind = match item.fields.get("type") {
        None | Some(Value::Null) if item.fields.contains_key("role") => "message",
        None | Some(Value::Null) => return Err(ApiError::missing(&format!("{path}.type"))),
        Some(kind) => kind.as_str().unwrap_or_default(),
    };
    match kind {
        "message" => item.message(),
        "function_call" => Ok(json!({
            "type": kind, "id": item.id("fc")?, "status": "completed",
            "call_id": item.text("call_id")?, "name": item.text("name")?,
            "arguments": item.text("arguments")?,
        })),
        "function_call_output" => Ok(json!({
            "type": kind, "id": item.id("fco")?, "status": "completed",
            "call_id": item.text("call_id")?, "output": item.output()?,
        })),
        "reasoning" => Ok(json!({
            "type": kind, "id": item.id("rs")?, "status": "completed",
            "summary": item.parts("summary", &["summary_text"])?,
            "content": item.parts("content", &["reasoning_text", "text"])?,
        })),
        "item_reference" => Ok(json!({"type": kind, "id": item.text("id")?})),
        _ => {
            let kind: String = kind.chars().take(MAX_ID_CHARS).collect();
            let message = format!("Items of type '{kind}' are not supported.");
            Err(ApiError::unsupported(&format!("{path}.type"), message))
        }
    }
}

fn invalid(path: &str, what: &str) -> ApiError {
    ApiError::invalid(Some(path), format!("Invalid value for '{path}': {what}."))
}

/// An item as it was sent, and where.
struct Fields<'a> {
    fields: Map<String, Value>,
    path: &'a str,
}

impl Fields<'_> {
    fn text(&self, name: &str) -> Result<String, ApiError> {
        let path = format!("{}.{name}", self.path);
        match self.fields.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            None | Some(Value::Null) => Err(ApiError::missing(&path)),
            Some(_) => Err(invalid(&path, "it is no string")),
        }
    }

    /// Its own id, or a new one.
    fn id(&self, prefix: &str) -> Result<String, ApiError> {
        if self.fields.get("id").is_none_or(Value::is_null) {
            return Ok(new_id(prefix));
        }
        let id = self.text("id")?;
        let is_well = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if id.is_empty() || id.len() > MAX_ID_CHARS || !id.chars().all(is_well) {
            let what = format!("an id has 1 to {MAX_ID_CHARS} letters, digits, '_' and '-'");
            return Err(invalid(&format!("{}.id", self.path), &what));
        }
        Ok(id)
    }

    fn message(&self) -> Result<Value, ApiError> {
        let role = self.text("role")?;
        let part = match role.as_str() {
            "user" | "system" | "developer" => input_part,
            "assistant" => output_part,
            _ => {
                let what = "it is 'user', 'assistant', 'system' or 'developer'";
                return Err(invalid(&format!("{}.role", self.path), what));
            }
        };
        let path = format!("{}.content", self.path);
        let content = match self.fields.get("content") {
            Some(Value::String(text)) => vec![part(text.clone())],
            Some(Value::Array(parts)) => {
                let is_user = role == "user";
                let each = parts.iter().enumerate().map(|(idx, given)| {
                    let path = format!("{path}[{idx}]");
                    match given["type"] == "input_image" && is_user {
                        true => image(given, &path),
                        false => {
                            let kinds = ["input_text", "output_text", "text", "refusal"];
                            text(given, &path, &kinds).map(|(_, text)| part(text))
                        }
                    }
                });
                each.collect::<Result<_, _>>()?
            }
            None | Some(Value::Null) => return Err(ApiError::missing(&path)),
            Some(_) => return Err(invalid(&path, "it is a string or an array of parts")),
        };
        let id = self.id("msg")?;
        Ok(json!({"type": "message", "id": id, "status": "completed", "role": role,
            "content": content}))
    }

    /// What a function gave.
    fn output(&self) -> Result<Value, ApiError> {
        match self.fields.get("output") {
            Some(Value::Array(parts)) => {
                let path = format!("{}.output", self.path);
                let texts = texts(parts, &path, &["input_text"])?;
                Ok(texts.into_iter().map(|(_, text)| input_part(text)).collect())
            }
            _ => Ok(self.text("output")?.into()),
        }
    }

    /// Parts that hold text; none if there are none.
    fn parts(&self, name: &str, kinds: &[&str]) -> Result<Value, ApiError> {
        let path = format!("{}.{name}", self.path);
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(json!([])),
            Some(Value::Array(parts)) => {
                let texts = texts(parts, &path, kinds)?;
                Ok(texts
                    .into_iter()
                    .map(|(kind, text)| json!({"type": kind, "text": text}))
                    .collect())
            }
            Some(_) => Err(invalid(&path, "it is an array of parts")),
        }
    }
}

fn input_part(text: String) -> Value {
    json!({"type": "input_text", "text": text})
}

fn output_part(text: String) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// An image, which is kept as it was sent.
fn image(part: &Value, path: &str) -> Result<Value, ApiError> {
    if part.get("file_id").is_some_and(|id| !id.is_null()) {
        let message = "Images by the id of a file are not supported.";
        return Err(ApiError::unsupported(&format!("{path}.file_id"), message));
    }
    let url = part.get("image_url").and_then(Value::as_str);
    let url = url.ok_or_else(|| ApiError::missing(&format!("{path}.image_url")))?;
    let detail = part.get("detail").and_then(Value::as_str).unwrap_or("auto");
    Ok(json!({"type": "input_image", "image_url": url, "detail": detail}))
}

/// The kinds and texts of parts, which must be of these kinds.
fn texts(parts: &[Value], path: &str, kinds: &[&str]) -> Result<Vec<(String, String)>, ApiError> {
    let parts = parts.iter().enumerate();
    parts.map(|(idx, part)| text(part, &format!("{path}[{idx}]"), kinds)).collect()
}

fn text(part: &Value, path: &str, kinds: &[&str]) -> Result<(String, String), ApiError> {
    let kind = part.get("type").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| ApiError::missing(&format!("{path}.type")))?;
    if !kinds.contains(&kind) {
        let kind: String = kind.chars().take(MAX_ID_CHARS).collect();
        let message = format!("Content of type '{kind}' is not supported here: send text.");
        return Err(ApiError::unsupported(&format!("{path}.type"), message));
    }
    let name = if kind == "refusal" { "refusal" } else { "text" };
    match part.get(name).and_then(Value::as_str) {
        Some(text) => Ok((kind.to_owned(), text.to_owned())),
        None => Err(ApiError::missing(&format!("{path}.{name}"))),
    }
}
