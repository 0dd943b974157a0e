//! Bodies made from the schemas of the description.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What stands between the parts of a form.
const BOUNDARY: &str = "sampled-form";
/// Fields that are given although they need not be: answers end soon, and messages say something.
const WANTED: &[&str] = &["content", "max_output_tokens", "max_tokens", "text"];

/// Makes bodies.
pub(crate) struct Sampler<'a> {
    pub(crate) document: &'a Value,
    /// Values of fields by their names, or those with what they are in.
    pub(crate) values: BTreeMap<&'static str, Value>,
}

/// A field that is to be in a body, as the way to it, and its value.
type Target<'a> = Option<(&'a [String], &'a str)>;

/// The schemas that a schema stands for or consists of, itself one of them.
pub(crate) fn schemas_of<'a>(document: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().expect("a name");
        return schemas_of(document, &document["components"]["schemas"][name]);
    }
    let parts = ["oneOf", "anyOf", "allOf"].into_iter().flat_map(|kind| schema[kind].as_array());
    let mut all: Vec<&Value> = parts.flatten().flat_map(|it| schemas_of(document, it)).collect();
    all.push(schema);
    all
}

impl Sampler<'_> {
    /// A body with what it needs, and one field that it need not have; with its media type.
    pub(crate) fn body(
        &self,
        body: &Option<(String, Value)>,
        target: Option<(&[String], &str)>,
    ) -> Option<(String, String)> {
        let (media, schema) = body.as_ref()?;
        let sampled = self.of(schema, "", target);
        if media == "multipart/form-data" {
            return Some((format!("{media}; boundary={BOUNDARY}"), form(&sampled)));
        }
        Some((media.clone(), sampled.to_string()))
    }

    /// A value that fits a schema.
    fn of(&self, schema: &Value, name: &str, target: Target<'_>) -> Value {
        if let Some(([], value)) = target {
            let kinds = schemas_of(self.document, schema);
            let is_list = kinds.iter().any(|kind| kind["type"] == "array");
            return if is_list { json!([value]) } else { json!(value) };
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let known = reference.rsplit('/').next().expect("a name");
            return self.of(&self.document["components"]["schemas"][known], name, target);
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let parts = parts.iter().map(|part| self.of(part, name, target));
            let whole = parts.filter_map(|part| part.as_object().cloned()).flatten();
            return Value::Object(whole.collect());
        }
        for kind in ["oneOf", "anyOf"] {
            if let Some(parts) = schema[kind].as_array() {
                let fits = |part: &&Value| match target {
                    Some((way, _)) => self.has(part, &way[0]),
                    None => part["type"] != "null",
                };
                return self.of(parts.iter().find(fits).expect("a part"), name, target);
            }
        }
        self.of_type(schema, name, target)
    }

    fn of_type(&self, schema: &Value, name: &str, target: Target<'_>) -> Value {
        if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
            return first.clone();
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find(|kind| **kind != "null"),
            kind => Some(kind),
        };
        match kind.and_then(Value::as_str) {
            Some("string") => json!("sampled"),
            Some("integer" | "number") => json!(4),
            Some("boolean") => json!(false),
            Some("array") => json!([self.of(&schema["items"], name, target)]),
            _ => self.of_object(schema, name, target),
        }
    }

    fn of_object(&self, schema: &Value, within: &str, target: Target<'_>) -> Value {
        let mut object = Map::new();
        let required: Vec<&str> = match schema["required"].as_array() {
            Some(names) => names.iter().filter_map(Value::as_str).collect(),
            None => Vec::new(),
        };
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            let below = target.and_then(|(way, value)| match way {
                [first, rest @ ..] if first == name => Some((rest, value)),
                _ => None,
            });
            let is_wanted = WANTED.contains(&name.as_str()) || required.contains(&name.as_str());
            let value = match below {
                None if is_wanted => {
                    self.value(within, name).unwrap_or_else(|| self.of(inner, name, None))
                }
                None => continue,
                Some(_) => self.of(inner, name, below),
            };
            object.insert(name.clone(), value);
        }
        Value::Object(object)
    }

    fn value(&self, within: &str, name: &str) -> Option<Value> {
        let closer = self.values.get(format!("{within}.{name}").as_str());
        closer.or_else(|| self.values.get(name)).cloned()
    }

    /// Whether a schema has a field.
    fn has(&self, schema: &Value, field: &str) -> bool {
        schemas_of(self.document, schema).iter().any(|it| {
            !it["properties"][field].is_null()
                || (it["items"].is_object() && self.has(&it["items"], field))
        })
    }
}

fn form(fields: &Value) -> String {
    let mut form = String::new();
    for (name, value) in fields.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let file = if name == "file" { "; filename=\"a.wav\"" } else { "" };
        let head = format!("Content-Disposition: form-data; name=\"{name}\"{file}");
        form.push_str(&format!("--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n"));
    }
    form + &format!("--{BOUNDARY}--\r\n")
}
