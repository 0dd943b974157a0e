//! JSON schemas before they are compiled.

use serde_json::{Map, Value, json};

use crate::CompileError;

/// Values of all kinds in a schema.
const MAX_VALUES: usize = 50_000;
/// References in all: one may lead to the next.
const MAX_REFS: usize = 1000;
/// Patterns of one object's properties: each is held against all others.
const MAX_PATTERNS: usize = 32;
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
    check(schema, &mut Counts::default())?;
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

/// Keywords without which a schema lets more pass and that no grammar here can hold.
const NARROWING: [&str; 9] = [
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Formats that the library knows.
const KNOWN_FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];

/// The schema without what only narrows it and cannot be honoured, for clients who do not insist:
/// what matches the schema matches this as well.
#[must_use]
pub fn loosened(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, value)| match value.as_str() {
                Some(format) if *name == "format" => KNOWN_FORMATS.contains(&format),
                _ => !NARROWING.contains(&name.as_str()),
            });
            kept.map(|(name, value)| (name.clone(), loosened_field(name, value))).collect()
        }
        Value::Array(schemas) => schemas.iter().map(loosened).collect(),
        other => other.clone(),
    }
}

fn loosened_field(name: &str, value: &Value) -> Value {
    match (name, value) {
        // Not schemas but values.
        ("const" | "enum" | "default" | "examples", _) => value.clone(),
        // Not keywords but names.
        ("properties" | "patternProperties" | "$defs" | "definitions", Value::Object(below)) => {
            below.iter().map(|(name, schema)| (name.clone(), loosened(schema))).collect()
        }
        _ => loosened(value),
    }
}

#[derive(Default)]
struct Counts {
    values: usize,
    refs: usize,
}

/// Counts, and refuses what is too large. Depth is bounded where bodies are parsed.
fn check(value: &Value, counts: &mut Counts) -> Result<(), CompileError> {
    let too_many = |what: &str, limit: usize| {
        Err(CompileError::TooLarge(format!("the schema has more than {limit} {what}")))
    };
    counts.values += 1;
    if counts.values > MAX_VALUES {
        return too_many("values", MAX_VALUES);
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| check(item, counts)),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let len = value.as_array().map_or(0, Vec::len);
            let num_fields = value.as_object().map_or(0, Map::len);
            counts.refs += usize::from(name == "$ref");
            if counts.refs > MAX_REFS {
                return too_many("'$ref'", MAX_REFS);
            }
            match name.as_str() {
                "enum" if len > MAX_ENUM => {
                    let message = format!("'enum' has {len} values, the limit is {MAX_ENUM}");
                    Err(CompileError::TooLarge(message))
                }
                "patternProperties" if num_fields > MAX_PATTERNS => {
                    too_many("'patternProperties' of an object", MAX_PATTERNS)
                }
                _ => check(value, counts),
            }
        }),
        _ => Ok(()),
    }
}
