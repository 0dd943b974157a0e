//! Calls of tools: within a text, and instead of another form.

use engine_grammar::{CallForm, Calls, Source};
use serde_json::{Value, json};

use crate::support::compiler;

/// How much of a text a grammar lets pass, and whether the answer may end there.
fn passes(source: &Source, text: &str) -> (usize, bool) {
    let mut constraint = compiler().compile("t", source).unwrap().grammar().start();
    for (idx, byte) in text.bytes().enumerate() {
        if !constraint.mask().wait().unwrap().allows(byte.into()) {
            return (idx, false);
        }
        constraint.accept(byte.into());
    }
    (text.len(), constraint.mask().wait().unwrap().allows(257))
}

#[test]
fn calls_within_a_text_are_held_to_their_schemas_and_the_text_is_free() {
    let form = |name: &str, schema: Value| CallForm {
        before: format!("\n{{\"name\": \"{name}\", \"arguments\": "),
        schema,
        after: "}\n</tool_call>".to_owned(),
    };
    let weather = json!({"type": "object", "properties": {"city": {"enum": ["Bonn", "Köln"]}},
        "required": ["city"], "additionalProperties": false});
    let source = |several: bool| {
        Source::Calls(Calls {
            forms: vec![form("weather", weather.clone()), form("clock", json!({}))],
            between: several.then(String::new),
            within: Some("<tool_call>".to_owned()),
        })
    };
    let good =
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Köln\"}}\n</tool_call>";
    let other = "<tool_call>\n{\"name\": \"clock\", \"arguments\": {\"a\": [1]}}\n</tool_call>";
    for several in [false, true] {
        let source = source(several);
        for text in ["", "No call: <tool> </tool_call>\n{\"a\": }", "<tool_cal", "Müller\n\n日本"]
        {
            assert_eq!(passes(&source, text), (text.len(), true), "{text}");
        }
        for call in [good, other] {
            let text = format!("I look.\n{call}");
            assert_eq!(passes(&source, &text), (text.len(), true), "{text}");
            assert!(!passes(&source, &text[..text.len() - 1]).1, "it is not whole");
        }
        let two = format!("{good}\nAnd\n{other} done");
        let expected = if several { (two.len(), true) } else { (good.len(), false) };
        assert_eq!(passes(&source, &two), expected);
        for (wrong, at) in [
            (good.replace("Köln", "Paris"), "Paris"),
            (good.replace("city", "town"), "town"),
            (good.replace("weather", "climate"), "imate"),
            (good.replace("{\"name", "[\"name"), "[\"name"),
        ] {
            let text = format!("Hm. {wrong}");
            assert_eq!(passes(&source, &text).0, text.find(at).unwrap(), "{text}");
        }
    }
}

#[test]
fn calls_or_another_form_are_one_of_both() {
    let calls = Calls {
        forms: vec![CallForm {
            before: "<tool_call>\n{\"name\": \"f\", \"arguments\": ".to_owned(),
            schema: json!({"enum": [{"a": 1}]}),
            after: "}\n</tool_call>".to_owned(),
        }],
        between: Some("\n".to_owned()),
        within: None,
    };
    let call = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>";
    let gbnf = "root ::= \"{\" item \"}\"\nitem ::= \"1\" | \"2\"";
    for (other, good) in [
        (Source::JsonSchema(json!({"enum": [{"b": [1]}]})), "{\"b\":[1]}"),
        (Source::JsonObject, "{\"b\": [1]}"),
        (Source::Regex("[<a]b/c".into()), "<b/c"),
        (Source::Choice(vec!["<to".into(), "no".into()]), "<to"),
        (Source::Grammar(gbnf.into()), "{2}"),
    ] {
        let source = Source::CallsOr(calls.clone(), Box::new(other));
        for text in [good, call, &format!("{call}\n{call}")] {
            assert_eq!(passes(&source, text), (text.len(), true), "{source:?}");
        }
        assert!(passes(&source, &format!("{good}{call}")).0 <= good.len(), "{source:?}");
        assert_eq!(passes(&source, &call.replace('1', "2")).0, call.find('1').unwrap());
    }
}
