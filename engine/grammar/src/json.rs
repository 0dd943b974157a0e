//! JSON schemas before they are compiled.

use serde_json::{Map, Value, json};

use crate::CompileError;

/// Values of all kinds in a schema.
const MAX_VALUES: usize = 50_000;
/// Values of one `enum`.
const MAX_ENUM: usize = 5_000;

/// White space between tokens: none, a space, or a new line and its indentation. Without a bound a
/// small model may write spaces until its tokens are spent.
const WHITESPACE: &str = r"[ ]|\n[ ]{0,32}";

macro_rules! time {
    () => {
        concat!(
            r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?",
            "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
        )
    };
}

macro_rules! date {
    () => {
        concat!(
            "[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])",
            "|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
        )
    };
}

/// The schema of any object.
pub(crate) fn object() -> Result<Value, CompileError> {
    prepare(&json!({"type": "object"}))
}

/// A copy of the client's schema with our options, and without what may bend its meaning.
pub(crate) fn prepare(schema: &Value) -> Result<Value, CompileError> {
    let mut num_values = 0;
    check(schema, &mut num_values)?;
    let mut schema = match schema {
        Value::Object(fields) => fields.clone(),
        Value::Bool(true) => serde_json::Map::new(),
        _ => return Err(CompileError::Invalid("the schema must be an object".to_owned())),
    };
    schema.iter_mut().for_each(|(name, value)| sharpen(name, value));
    sharpen_format(&mut schema);
    schema.insert("x-guidance".to_owned(), json!({"whitespace_pattern": WHITESPACE}));
    Ok(Value::Object(schema))
}

/// Formats of which the library allows more than validators do: a 61st second at any time, and
/// e-mail addresses of any length.
const FORMATS: [(&str, &str); 3] = [
    ("time", concat!("^", time!(), "$")),
    ("date-time", concat!("^", date!(), "[Tt]", time!(), "$")),
    (
        "email",
        concat!(
            r"^[A-Za-z0-9_+-]{1,32}(\.[A-Za-z0-9_+-]{1,15}){0,2}",
            r"@([a-z0-9]{1,20}(-[a-z0-9]{1,20})?\.){1,3}[a-z]{2,8}$"
        ),
    ),
];

/// Writes those formats as patterns, in all schemas below.
fn sharpen(name: &str, value: &mut Value) {
    match value {
        // Not schemas but values.
        _ if matches!(name, "const" | "enum" | "default" | "examples") => {}
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(name, value)| sharpen(name, value));
            sharpen_format(fields);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| sharpen("", item)),
        _ => {}
    }
}

fn sharpen_format(schema: &mut Map<String, Value>) {
    let format = schema.get("format").and_then(Value::as_str);
    let pattern = FORMATS.iter().find(|(name, _)| Some(*name) == format).map(|(_, p)| *p);
    if let Some(pattern) = pattern.filter(|_| !schema.contains_key("pattern")) {
        schema.remove("format");
        schema.insert("pattern".to_owned(), pattern.into());
    }
}

/// Counts values, and refuses what is too large. Depth is bounded where bodies are parsed.
fn check(value: &Value, num_values: &mut usize) -> Result<(), CompileError> {
    *num_values += 1;
    if *num_values > MAX_VALUES {
        let message = format!("the schema has more than {MAX_VALUES} values");
        return Err(CompileError::TooLarge(message));
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| check(item, num_values)),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            match value.as_array() {
                Some(values) if name == "enum" && values.len() > MAX_ENUM => {
                    let num = values.len();
                    let message = format!("'enum' has {num} values, the limit is {MAX_ENUM}");
                    return Err(CompileError::TooLarge(message));
                }
                _ => {}
            }
            check(value, num_values)
        }),
        _ => Ok(()),
    }
}
