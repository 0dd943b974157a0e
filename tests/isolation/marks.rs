//! What shows that something of a tenant was told.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::tenant::Tenant;

/// All ids, secrets and names of a tenant that it was told of.
pub(crate) fn marks<'a>(told: impl Iterator<Item = &'a Value>, of: &Tenant) -> BTreeSet<String> {
    let mut marks: BTreeSet<String> = of.ids.0.values().cloned().collect();
    let callers = [&of.key, &of.admin, &of.person, &of.session];
    marks.extend(callers.map(|caller| caller.secret().to_owned()));
    told.for_each(|value| collect(value, &mut marks));
    marks.retain(|mark| is_telling(mark, of.name));
    marks
}

fn collect(value: &Value, marks: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            marks.insert(text.clone());
        }
        Value::Array(all) => all.iter().for_each(|it| collect(it, marks)),
        Value::Object(all) => all.values().for_each(|it| collect(it, marks)),
        _ => {}
    }
}

/// Whether a text can be nobody else's: it has the tenant's name, or it was drawn at random.
fn is_telling(text: &str, name: &str) -> bool {
    let is_of_id = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    let is_random =
        text.len() >= 16 && text.chars().all(is_of_id) && text.contains(|it: char| it.is_numeric());
    is_random || text.contains(name)
}

/// Without times of what was just used.
pub(crate) fn steady(mut value: Value) -> Value {
    match &mut value {
        Value::Array(all) => all.iter_mut().for_each(|it| *it = steady(it.take())),
        Value::Object(all) => {
            all.retain(|name, _| !matches!(name.as_str(), "last_used_at" | "used_at"));
            all.values_mut().for_each(|it| *it = steady(it.take()));
        }
        _ => {}
    }
    value
}
