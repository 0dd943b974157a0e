//! Schemas made up by chance: nested, recursive, with bounds, formats, patterns and unicode.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

/// A schema of mixed difficulty that some value matches.
pub(crate) fn random_schema(rng: &mut StdRng, depth: usize) -> Value {
    let schema = node(rng, depth);
    // Some refer to themselves.
    match rng.random_range(0..8) {
        0 => json!({"$defs": {"node": {"type": "object", "properties": {
                "value": schema, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                "required": ["value", "next"], "additionalProperties": false}},
            "$ref": "#/$defs/node"}),
        _ => schema,
    }
}

fn node(rng: &mut StdRng, depth: usize) -> Value {
    match rng.random_range(0..if depth == 0 { 7 } else { 12 }) {
        0 => json!({"type": "boolean"}),
        1 => integer(rng),
        2 => number(rng),
        3 => string(rng),
        4 => json!({"enum": ["red", "grün", 3, null, true, "a\"b\\c", "日本"]}),
        5 => match rng.random_bool(0.5) {
            true => json!({"const": "x"}),
            false => json!({"const": {"k": [null, 1.5]}}),
        },
        6 => json!({"type": ["string", "null"], "maxLength": 5}),
        7 | 8 => object(rng, depth - 1),
        9 => array(rng, depth - 1),
        10 => {
            let (a, b) = (node(rng, depth - 1), node(rng, depth - 1));
            json!({"type": "array", "prefixItems": [a, b], "items": false, "minItems": 2})
        }
        _ => {
            let (a, b) = (node(rng, depth - 1), node(rng, depth - 1));
            json!({"anyOf": [a, b]})
        }
    }
}

fn integer(rng: &mut StdRng) -> Value {
    let low = rng.random_range(-1000..1000);
    let mut schema = json!({"type": "integer"});
    let (has_low, has_high) = (rng.random_bool(0.6), rng.random_bool(0.6));
    if has_low {
        schema["minimum"] = low.into();
    }
    if has_high {
        schema["maximum"] = (low + rng.random_range(0..5000)).into();
    }
    // Numbers without bounds outgrow those that others divide exactly.
    if has_low && has_high && rng.random_bool(0.4) {
        schema["multipleOf"] = rng.random_range(2..9).into();
    }
    schema
}

fn number(rng: &mut StdRng) -> Value {
    let low = f64::from(rng.random_range(-100..100)) / 4.0;
    let mut schema = json!({"type": "number"});
    if rng.random_bool(0.5) {
        schema["minimum"] = low.into();
    }
    if rng.random_bool(0.5) {
        schema["exclusiveMaximum"] = (low + 7.5).into();
    }
    schema
}

fn string(rng: &mut StdRng) -> Value {
    let patterns = ["^[a-z]{2,5}$", "^\\d{3}-\\d{4}$", "^(foo|bar)+$", "^[A-ZÄÖÜ][a-zß]*$"];
    let formats = ["date", "time", "date-time", "uuid", "ipv4", "ipv6", "email", "hostname"];
    match rng.random_range(0..4) {
        0 => json!({"type": "string", "pattern": patterns.choose(rng)}),
        1 => json!({"type": "string", "format": formats.choose(rng)}),
        2 => {
            let min = rng.random_range(0..4);
            json!({"type": "string", "minLength": min, "maxLength": min + rng.random_range(0..6)})
        }
        _ => json!({"type": "string"}),
    }
}

fn object(rng: &mut StdRng, depth: usize) -> Value {
    let names = ["id", "name", "größe", "a b", "\"q\"", "naïve", "x-1", "items"];
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for _ in 0..rng.random_range(0..4) {
        let name = *names.choose(rng).expect("not empty");
        properties.insert(name.to_owned(), node(rng, depth));
        if rng.random_bool(0.6) && !required.contains(&name) {
            required.push(name);
        }
    }
    let more = match rng.random_range(0..4) {
        0 => json!(true),
        1 => json!({"type": "integer"}),
        _ => json!(false),
    };
    json!({"type": "object", "properties": properties, "required": required,
        "additionalProperties": more})
}

fn array(rng: &mut StdRng, depth: usize) -> Value {
    let min = rng.random_range(0..3);
    let mut schema = json!({"type": "array", "items": node(rng, depth), "minItems": min});
    if rng.random_bool(0.7) {
        schema["maxItems"] = (min + rng.random_range(0..3)).into();
    }
    schema
}
