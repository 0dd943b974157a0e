//! JSON schemas before they are compiled.

use serde_json::{Value, json};

use crate::CompileError;

/// Values of all kinds in a schema.
const MAX_VALUES: usize = 50_000;
/// Values of one `enum`.
const MAX_ENUM: usize = 5_000;

/// White space between tokens: none, a space, or a new line and its indentation. Without a bound a
/// small model may write spaces until its tokens are spent.
const WHITESPACE: &str = r"[ ]|\n[ ]{0,32}";

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
    schema.insert("x-guidance".to_owned(), json!({"whitespace_pattern": WHITESPACE}));
    Ok(Value::Object(schema))
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
