//! Every family's marks, and that it makes no difference where the text is cut.

use super::{AnswerParser, CallsAre, Family, Part};

mod families;

fn content(text: &str) -> Part {
    Part::Content(text.to_owned())
}

fn reasoning(text: &str) -> Part {
    Part::Reasoning(text.to_owned())
}

fn call(name: &str, arguments: &str) -> [Part; 2] {
    [Part::Call { name: name.to_owned() }, Part::Arguments(arguments.to_owned())]
}

/// All parts of a text that comes in pieces of `size` characters.
fn parse(family: Family, (tools, reasons): (bool, bool), text: &str, size: usize) -> Vec<Part> {
    let mut parser = AnswerParser::new(
        family,
        if tools { CallsAre::Anywhere } else { CallsAre::Nowhere },
        reasons,
    );
    let chars: Vec<char> = text.chars().collect();
    let mut parts: Vec<Part> = Vec::new();
    for piece in chars.chunks(size) {
        parts.extend(parser.push(&piece.iter().collect::<String>()));
    }
    parts.extend(parser.finish());
    super::pieces::join(parts)
}

fn check(family: Family, flags: (bool, bool), text: &str, expect: &[Part]) {
    for size in [1, 2, 3, 5, 7, 11, 1000] {
        assert_eq!(parse(family, flags, text, size), expect, "{family:?} by {size}: {text}");
    }
}

const TOOLS: (bool, bool) = (true, false);

#[test]
fn hermes() {
    let one = r#"<tool_call>
{"name": "get_weather", "arguments": {"city": "Köln \"}\" {", "days": [1, 2]}}
</tool_call>"#;
    let arguments = r#"{"city": "Köln \"}\" {", "days": [1, 2]}"#;
    check(Family::Hermes, TOOLS, one, &call("get_weather", arguments));
    let [begin, end] = call("get_weather", arguments);
    let two = format!("I look.\n\n{one}\n{one}\n");
    let expect = [content("I look."), begin.clone(), end.clone(), begin, end];
    check(Family::Hermes, TOOLS, &two, &expect);
    check(Family::Hermes, (false, false), one, &[content(one)]);
}

#[test]
fn what_is_no_call_is_text() {
    for text in [
        "a < b <tool",
        "<tool_call>not json",
        "<tool_call>{\"nam\": 1}</tool_call> x",
        "<tool_call>{\"name\"",
        "{\"name\": \"f\"}",
        "trailing \n ",
        "a quoted </tool_call> mark",
        "",
    ] {
        let expect: Vec<Part> =
            Some(content(text)).filter(|_| !text.is_empty()).into_iter().collect();
        check(Family::Hermes, TOOLS, text, &expect);
    }
    // Broken after its name: a call, with what there was of its arguments.
    let broken = r#"<tool_call>{"name": "f", "arguments": {"a": 1"#;
    check(Family::Hermes, TOOLS, broken, &call("f", "{\"a\": 1"));
}

#[test]
fn what_is_cut_before_its_name_is_no_text_where_it_can_only_be_a_call() {
    let object = r#"{"name": "f", "arguments": {"a": 1}}"#;
    let hermes = format!("<tool_call>\n{object}\n</tool_call>");
    for (family, whole) in [(Family::Hermes, hermes.as_str()), (Family::Json, object)] {
        for (end, _) in whole.char_indices() {
            let mut parser = AnswerParser::new(family, CallsAre::All, false);
            let mut parts = parser.push(&whole[..end]);
            parts.extend(parser.finish());
            let has_name = whole[..end].contains("\"f\"");
            assert_eq!(parts.first() == Some(&call("f", "")[0]), has_name, "{}", &whole[..end]);
            assert!(!parts.iter().any(|part| matches!(part, Part::Content(_))), "{parts:?}");
        }
    }
    // So it is of the next call where the model may call.
    for cut in ["\n<tool_", "\n<tool_call>\n{\"na"] {
        let expect = call("f", r#"{"a": 1}"#);
        check(Family::Hermes, TOOLS, &format!("{hermes}{cut}"), &expect);
    }
    let mistral = r#"[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]f"#;
    check(Family::Mistral, TOOLS, mistral, &call("f", r#"{"a": 1}"#));
}

#[test]
fn a_text_instead_of_calls_may_speak_of_them() {
    let whole = "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>";
    let said = format!("[ {whole} ]");
    let cut = whole[..20].to_owned();
    let both = [whole, whole].join("\n");
    let calls = [call("f", "{}"), call("f", "{}")].concat();
    for (text, expect) in [(&said, vec![content(&said)]), (&cut, vec![]), (&both, calls)] {
        for size in [1, 4, 100] {
            let mut parser = AnswerParser::new(Family::Hermes, CallsAre::AllOrNone, false);
            let chars: Vec<char> = text.chars().collect();
            let pieces = chars.chunks(size).map(|piece| piece.iter().collect::<String>());
            let mut parts: Vec<Part> = pieces.flat_map(|piece| parser.push(&piece)).collect();
            parts.extend(parser.finish());
            assert_eq!(super::pieces::join(parts), expect, "{text} by {size}");
        }
    }
}

#[test]
fn arguments_in_any_order_and_form() {
    for (object, arguments) in [
        (r#"{"arguments": {"a": 1}, "name": "f"}"#, r#"{"a": 1}"#),
        (r#"{"name": "f", "arguments": "{\"a\": 1}"}"#, r#"{"a": 1}"#),
        (r#"{"arguments": "{\"a\": 1}", "id": 3, "name": "f"}"#, r#"{"a": 1}"#),
        (r#"{"id": "x", "name": "f", "parameters": {}}"#, "{}"),
        (r#"{"name": "f"}"#, "{}"),
        (r#"{"name": "f", "arguments": null}"#, "null"),
    ] {
        check(Family::Hermes, TOOLS, &format!("<tool_call>{object}"), &call("f", arguments));
    }
}

#[test]
fn objects_alone() {
    let one = r#"{"name": "f", "parameters": {"a": "b"}}"#;
    let [begin, end] = call("f", r#"{"a": "b"}"#);
    check(Family::Json, TOOLS, one, &[begin.clone(), end.clone()]);
    let two = format!("<|python_tag|>{one}; {one}");
    check(Family::Json, TOOLS, &two, &[begin.clone(), end.clone(), begin, end]);
    check(Family::Json, TOOLS, r#"{"a": 1} is JSON"#, &[content(r#"{"a": 1} is JSON"#)]);
    check(Family::Json, TOOLS, &format!("so: {one}"), &[content(&format!("so: {one}"))]);
}

#[test]
fn an_object_that_names_no_tool_is_text() {
    let text = r#"{"name": "Alice", "age": 30}"#;
    for size in [1, 9, 100] {
        let names = ["f".to_owned()].into();
        let mut parser =
            AnswerParser::new(Family::Json, CallsAre::Anywhere, false).with_names(names);
        let chars: Vec<char> = text.chars().collect();
        let mut parts = Vec::new();
        for piece in chars.chunks(size) {
            parts.extend(parser.push(&piece.iter().collect::<String>()));
        }
        parts.extend(parser.finish());
        assert_eq!(super::pieces::join(parts), [content(text)]);
    }
}

#[test]
fn mistral() {
    let [begin, end] = call("f", r#"{"a": [1]}"#);
    let array =
        r#"[TOOL_CALLS] [{"name": "f", "arguments": {"a": [1]}}, {"name": "g", "arguments": {}}]"#;
    let [second, none] = call("g", "{}");
    check(Family::Mistral, TOOLS, array, &[begin.clone(), end.clone(), second, none]);
    let named = r#"hm[TOOL_CALLS]f[ARGS]{"a": [1]}[TOOL_CALLS]f{"a": [1]}"#;
    let expect = [content("hm"), begin.clone(), end.clone(), begin, end];
    check(Family::Mistral, TOOLS, named, &expect);
}

#[test]
fn deepseek() {
    let [begin, end] = call("f", r#"{"a": 1}"#);
    let v3 = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>\
              f\n```json\n{\"a\": 1}\n```\
              <｜tool▁call▁end｜><｜tool▁calls▁end｜>";
    let v31 = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": 1}<｜tool▁call▁end｜>\
               <｜tool▁calls▁end｜>";
    check(Family::DeepSeek, TOOLS, v31, &[begin.clone(), end.clone()]);
    check(Family::DeepSeek, TOOLS, v3, &[begin, end]);
}

#[test]
fn harmony() {
    let text = "<|channel|>analysis<|message|>They ask.<|end|><|start|>assistant<|channel|>\
                commentary to=functions.f <|constrain|>json<|message|>{\"a\": 1}<|call|>";
    let [begin, end] = call("f", "{\"a\": 1}");
    check(Family::Harmony, TOOLS, text, &[reasoning("They ask."), begin, end]);
    let text = "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final\
                <|message|>Hello<|return|>";
    check(Family::Harmony, (false, false), text, &[reasoning("Hm"), content("Hello")]);
}

#[test]
fn thoughts() {
    let expect = [reasoning("\nwhy < not\n"), content("So.")];
    for family in [Family::Hermes, Family::Json, Family::DeepSeek] {
        check(family, (false, false), "<think>\nwhy < not\n</think>\n\nSo.", &expect);
        check(family, (true, true), "\nwhy < not\n</think>\n\nSo.", &expect);
    }
    let quoted = "He wrote <think>x</think>";
    check(Family::Hermes, (false, false), quoted, &[content(quoted)]);
    check(Family::Hermes, (false, true), "cut off", &[reasoning("cut off")]);
}
