//! Whether a JSON schema is one at all, whatever may be made of it.

use serde_json::Value;

use crate::CompileError;

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// Checks that keywords have the kind of value that the standard gives them, and that references
/// within the schema lead somewhere; what other keywords say is not looked at.
///
/// # Errors
/// [`CompileError::Invalid`].
pub fn check_schema(schema: &Value) -> Result<(), CompileError> {
    check(schema, schema)
}

fn check(schema: &Value, root: &Value) -> Result<(), CompileError> {
    let fields = match schema {
        Value::Object(fields) => fields,
        Value::Bool(_) => return Ok(()),
        _ => return invalid("a schema must be an object".to_owned()),
    };
    // Where a field has no value, clients may write `null`.
    fields.iter().filter(|(_, value)| !value.is_null()).try_for_each(|(name, value)| {
        match name.as_str() {
            "type" => check_type(value),
            "$ref" => check_reference(value, root),
            "required" if !value.as_array().is_some_and(|all| all.iter().all(Value::is_string)) => {
                invalid("'required' must be an array of names".to_owned())
            }
            "enum" if !value.is_array() => invalid("'enum' must be an array".to_owned()),
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                let what = || format!("'{name}' must be an object");
                let below = value.as_object().ok_or_else(|| CompileError::Invalid(what()))?;
                below.values().try_for_each(|below| check(below, root))
            }
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                let what = || format!("'{name}' must be an array");
                let below = value.as_array().ok_or_else(|| CompileError::Invalid(what()))?;
                below.iter().try_for_each(|below| check(below, root))
            }
            "items" if value.is_array() => {
                value.as_array().into_iter().flatten().try_for_each(|below| check(below, root))
            }
            "items" | "additionalProperties" | "not" | "contains" | "propertyNames" => {
                check(value, root)
            }
            _ => Ok(()),
        }
    })
}

fn check_type(value: &Value) -> Result<(), CompileError> {
    let several = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    match several.iter().find(|one| !one.as_str().is_some_and(|name| TYPES.contains(&name))) {
        Some(_) => invalid(format!("'type' must be one or several of {}", TYPES.join(", "))),
        None => Ok(()),
    }
}

/// One within the schema; others are not followed here.
fn check_reference(value: &Value, root: &Value) -> Result<(), CompileError> {
    let Some(path) = value.as_str() else { return invalid("'$ref' must be a text".to_owned()) };
    match path.strip_prefix('#').filter(|path| path.starts_with('/') && !path.contains('%')) {
        Some(pointer) if root.pointer(pointer).is_none() => {
            invalid("a '$ref' leads to nothing in the schema".to_owned())
        }
        _ => Ok(()),
    }
}

fn invalid(message: String) -> Result<(), CompileError> {
    Err(CompileError::Invalid(message))
}
