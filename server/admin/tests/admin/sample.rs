//! Requests made from the description of the API.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::world::{Organization, unix};

/// A route of the description.
pub(crate) struct Operation {
    pub(crate) method: String,
    /// With names of parameters in braces.
    pub(crate) path: String,
    /// With ids in their place, and a query that is asked for or names ids.
    pub(crate) uri: String,
    pub(crate) body: Value,
    /// Whether the path has an id, or the body one that it may be refused for.
    pub(crate) has_id: bool,
}

/// Values of parameters and fields, by their names.
pub(crate) fn values(of: &Organization) -> BTreeMap<String, Value> {
    let ids = [
        ("project_id", &of.project),
        ("project_ids[]", &of.project),
        ("user_id", &of.developer),
        ("user_ids[]", &of.developer),
        ("api_key_ids[]", &of.key),
        ("actor_ids[]", &of.owner),
        ("resource_ids[]", &of.project),
        ("service_account_id", &of.service_account),
        ("invite_id", &of.invite),
        ("role_id", &of.role),
        ("provision_id", &of.provision),
        ("webhook_id", &of.webhook),
        ("alert_id", &of.alert),
    ];
    let mut values: BTreeMap<String, Value> =
        ids.into_iter().map(|(name, id)| (name.to_owned(), json!(id))).collect();
    let others = [
        ("rate_limit_id", json!("rl-all")),
        ("start_time", json!(1)),
        ("starts_at", json!(unix() + 500)),
        ("expires_at", json!(unix() + 1000)),
        ("name", json!("sampled")),
        ("store_prompts", json!("when_asked")),
        ("role", json!("viewer")),
        ("email", json!("sampled@example.com")),
        ("permissions", json!(["usage.read"])),
        ("networks", json!(["10.0.0.0/8"])),
        ("endpoints", json!(["/v1/embeddings"])),
        ("quotas", json!([{"meter": "images", "period": "day", "units": 5}])),
        ("budgets", json!([{"period": "month", "amount": "12.50"}])),
        ("usage", json!({"input_tokens": 10})),
        ("projects", json!([])),
        ("model", json!("mock")),
        ("tier", json!("standard")),
        ("url", json!("https://sampled.example.com/hook")),
        ("meter", json!("images")),
        ("period", json!("month")),
        ("addresses", json!(["sampled@example.com"])),
    ];
    values.extend(others.map(|(name, value)| (name.to_owned(), value)));
    values
}

/// All routes whose paths begin with one of some, with the ids of an organization.
pub(crate) fn operations(document: &Value, of: &Organization, prefixes: &[&str]) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if !prefixes.iter().any(|prefix| path.starts_with(prefix)) {
            continue;
        }
        for (method, operation) in methods.as_object().unwrap() {
            found.push(operation_of(document, of, (path, method, operation)));
        }
    }
    found
}

fn operation_of(
    document: &Value,
    of: &Organization,
    (path, method, operation): (&str, &str, &Value),
) -> Operation {
    let mut values = values(of);
    // Keys of two kinds have ids of one name.
    let key = if path.contains("admin_api_keys") { &of.admin } else { &of.key };
    values.insert("key_id".to_owned(), json!(key));
    let (mut uri, mut query) = (path.to_owned(), Vec::new());
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        let value = values.get(name).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        match (parameter["in"].as_str(), value) {
            (Some("path"), value) => {
                let value = value.unwrap_or_else(|| panic!("no value for {name} of {path}"));
                uri = uri.replace(&format!("{{{name}}}"), &value);
            }
            (Some("query"), Some(value)) => query.push(format!("{name}={value}")),
            _ => {}
        }
    }
    if !query.is_empty() {
        uri = format!("{uri}?{}", query.join("&"));
    }
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let body = if schema.is_null() { Value::Null } else { sample(document, schema, "", &values) };
    let is_of_account = !body["project_id"].is_null() || !body["key_id"].is_null();
    let has_id = path.contains('{') || is_of_account;
    let (method, path) = (method.to_uppercase(), path.to_owned());
    Operation { method, path, uri, body, has_id }
}

/// A value that fits a schema.
fn sample(document: &Value, schema: &Value, name: &str, values: &BTreeMap<String, Value>) -> Value {
    if let Some(value) = values.get(name) {
        return value.clone();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return sample(document, &document["components"]["schemas"][name], "", values);
    }
    for kind in ["oneOf", "anyOf"] {
        if let Some(parts) = schema[kind].as_array() {
            let part = parts.iter().find(|part| part["type"] != "null").unwrap();
            return sample(document, part, name, values);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| **kind != "null").unwrap(),
        kind => kind,
    };
    match kind.as_str() {
        Some("string") => json!("sampled"),
        Some("integer" | "number") => json!(60),
        Some("boolean") => json!(true),
        Some("array") => json!([sample(document, &schema["items"], "", values)]),
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let field = |(name, schema): (&String, &Value)| {
                (name.clone(), sample(document, schema, name, values))
            };
            Value::Object(fields.map(field).collect::<Map<_, _>>())
        }
        _ => panic!("no sample of {schema}"),
    }
}
