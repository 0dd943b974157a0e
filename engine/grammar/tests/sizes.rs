//! What a compiled grammar is said to take is about what the allocator gave for it.

// A counting allocator cannot be written without it.
#![allow(unsafe_code, reason = "an allocator is unsafe to implement; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine_grammar::{Compiler, Source};
use engine_text::TextModel;
use serde_json::{Value, json};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract (so in all below).
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn schema(properties: impl Iterator<Item = (String, Value)>) -> Source {
    let properties: serde_json::Map<String, Value> = properties.collect();
    let required: Vec<&String> = properties.keys().collect();
    Source::JsonSchema(json!({"type": "object", "required": required, "properties": properties}))
}

fn sources() -> Vec<(&'static str, Source)> {
    let many = |of: Value, num: usize| schema((0..num).map(move |i| (format!("p{i}"), of.clone())));
    let city = json!({"type": "string", "minLength": 3, "maxLength": 40});
    let choices = |num: usize| (0..num).map(|i| format!("choice number {i}")).collect();
    let nested = (0..60).fold(
        json!({"type": "integer"}),
        |inner, i| json!({"type": "object", "properties": {format!("level{i}"): inner}}),
    );
    vec![
        ("any object", Source::JsonObject),
        ("two fields", many(city.clone(), 2)),
        ("a hundred fields", many(city, 100)),
        ("a thousand numbers", many(json!({"type": "number", "maximum": 10}), 1000)),
        ("patterns", many(json!({"type": "string", "pattern": "^[a-f]{2,30}[0-9]+$"}), 20)),
        ("dates", many(json!({"type": "string", "format": "date-time"}), 10)),
        (
            "an array of many",
            Source::JsonSchema(json!({"type": "array", "minItems": 300,
            "items": {"type": "boolean"}})),
        ),
        ("an enum", Source::JsonSchema(json!({"enum": (0..3000).collect::<Vec<_>>()}))),
        ("nested", Source::JsonSchema(nested)),
        ("a few choices", Source::Choice(choices(5))),
        ("many choices", Source::Choice(choices(3000))),
        ("an expression", Source::Regex("(foo|ba[rz]){1,9}[0-9a-zA-Z]{3,200}".to_owned())),
        ("a grammar", Source::Grammar("start: (A | B)+\nA: \"a\"\nB: /b[c-e]*/\n".to_owned())),
    ]
}

#[test]
fn what_is_kept_is_weighed_well() {
    let compiler = Compiler::new(Arc::new(TextModel::byte_level()), 0);
    // What is made once for all of them.
    let first = Source::Choice(vec!["first".to_owned()]);
    compiler.compile("t", &first).expect("it is a grammar");
    for (name, source) in sources() {
        let before = LIVE.load(Ordering::Relaxed);
        let compiled = compiler.compile("t", &source).expect(name);
        let counted = LIVE.load(Ordering::Relaxed) - before;
        let told = compiled.num_bytes();
        assert!(told * 2 > counted && told < counted * 2, "{name}: {told} told, {counted} counted");
    }
}
