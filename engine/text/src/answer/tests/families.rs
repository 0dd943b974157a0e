//! How each family with a form of its own writes calls.

use super::*;

/// Two calls of `f`, with one text and one number.
fn two_calls() -> Vec<Part> {
    let [begin, end] = call("f", r#"{"a": "é \"x\"", "n": [1, 2.5]}"#);
    let [second, none] = call("g", "{}");
    vec![begin, end, second, none]
}

#[test]
fn arrays_after_a_mark() {
    let array = |name: &str, arguments: &str| {
        let given = r#"{"a": "é \"x\"", "n": [1, 2.5]}"#;
        format!(r#"[{{"{name}": "f", "{arguments}": {given}}}, {{"{name}": "g"}}]"#)
    };
    let plain = array("name", "arguments");
    let cohere = array("tool_name", "parameters");
    for (family, text) in [
        (Family::Granite, format!("<|tool_call|>{plain}")),
        (Family::Granite, format!("<tool_call> {plain}")),
        (Family::Functools, format!("functools{plain}")),
        (Family::Command, format!("<|START_ACTION|>{cohere}<|END_ACTION|>")),
        (Family::Command, format!("Action: ```json\n{cohere}\n```")),
        (Family::Command, format!("Action:\n```json\n{cohere}```")),
    ] {
        check(family, TOOLS, &text, &two_calls());
        let mut expect = vec![content("So:")];
        expect.extend(two_calls());
        check(family, TOOLS, &format!("So:\n{text}\n"), &expect);
        let names = if family == Family::Command { &[][..] } else { &[content(&text)] };
        if !names.is_empty() {
            check(family, (false, false), &text, names);
        }
    }
    let one = r#"<|tool_call|>{"name": "f", "arguments": {"a": 1}}"#;
    check(Family::Granite, TOOLS, one, &call("f", r#"{"a": 1}"#));
    for text in ["use functools.partial", "functools", "<|tool_call|> none", "```x```"] {
        check(Family::Functools, TOOLS, text, &[content(text)]);
        check(Family::Granite, TOOLS, text, &[content(text)]);
    }
    let text =
        "<|START_THINKING|>Hm<|END_THINKING|><|START_RESPONSE|>Hello ```x```<|END_RESPONSE|>";
    for tools in [true, false] {
        let expect = [reasoning("Hm"), content("Hello ```x```")];
        check(Family::Command, (tools, false), text, &expect);
    }
}

#[test]
fn kimi() {
    let text = "I look.<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0\
                <|tool_call_argument_begin|>{\"a\": 1}<|tool_call_end|><|tool_call_begin|>\
                functions.g:1<|tool_call_argument_begin|>{}<|tool_call_end|>\
                <|tool_calls_section_end|>";
    let expect = [vec![content("I look.")], call("f", "{\"a\": 1}").into(), call("g", "{}").into()];
    check(Family::Kimi, TOOLS, text, &expect.concat());
    check(Family::Kimi, TOOLS, "<think>a</think>b", &[reasoning("a"), content("b")]);
}

#[test]
fn lists_of_pythons_calls() {
    let list = r#"[f(a="é \"x\"", n=[1, 2.5]), g()]"#;
    let json = r#"{"a":"é \"x\"","n":[1,2.5]}"#;
    let expect = [call("f", json), call("g", "{}")].concat();
    check(Family::Pythonic, TOOLS, list, &expect);
    check(Family::Pythonic, TOOLS, &format!("<|python_start|>{list}<|python_end|>"), &expect);
    check(Family::Lfm, TOOLS, &format!("<|tool_call_start|>{list}<|tool_call_end|>"), &expect);
    check(Family::Pythonic, (false, false), list, &[content(list)]);
    let odd = r"[f(a='it\'s )]', b={'k': None, 'l': (True, False)}, c=-1e3,)]";
    let json = r#"{"a":"it's )]","b":{"k":null,"l":[true,false]},"c":-1000.0}"#;
    check(Family::Pythonic, TOOLS, odd, &call("f", json));
    for text in [
        "[1] is a note",
        "[f(a=b)]",
        "[f(1)]",
        "[]",
        "[f(a=1",
        "[not a call]",
        "so [f(a=1)]",
        "[f(a=[1)]",
    ] {
        check(Family::Pythonic, TOOLS, text, &[content(text)]);
    }
    let marked = "<|tool_call_start|>[what]";
    check(Family::Lfm, TOOLS, marked, &[content(marked)]);
    // A cut call after one that is whole is no text.
    check(Family::Pythonic, TOOLS, "[f(a=1), oh", &call("f", r#"{"a":1}"#));
    let broken = [call("f", r#"{"a":1}"#).to_vec(), vec![content("; oh")]].concat();
    check(Family::Pythonic, TOOLS, "[f(a=1); oh", &broken);
    let deep = format!("[f(a={}1{})]", "[".repeat(99), "]".repeat(99));
    check(Family::Pythonic, TOOLS, &deep, &[content(&deep)]);
}

#[test]
fn calls_between_tags() {
    let (first, second) = (r#"{"a": "x <y\n z", "n": [1, 2]}"#, "{}");
    let expect = [call("f", first), call("g", second)].concat();
    let qwen = "<function=f>\n<parameter=a>\nx <y\n z\n</parameter>\n<parameter=n>\n[1, 2]\n\
                </parameter>\n</function>";
    for text in [
        format!(
            "<tool_call>\n{qwen}\n</tool_call>\n<tool_call>\n<function=g>\n</function>\n\
             </tool_call>"
        ),
        format!("{qwen}<function=g></function>\n"),
    ] {
        check(Family::QwenXml, TOOLS, &text, &expect);
    }
    let seed = format!("<seed:tool_call>{qwen}\n<function=g></function></seed:tool_call>");
    check(Family::Seed, TOOLS, &seed, &expect);
    let thought = format!("<seed:think>Hm</seed:think>{seed}");
    check(Family::Seed, TOOLS, &thought, &[vec![reasoning("Hm")], expect.clone()].concat());
    let minimax = "<minimax:tool_call>\n<invoke name=\"f\">\n<parameter name=\"a\">x <y\n z\
                   </parameter>\n<parameter name=\"n\">[1, 2]</parameter>\n</invoke>\n\
                   <invoke name=\"g\">\n</invoke>\n</minimax:tool_call>";
    check(Family::MiniMax, TOOLS, minimax, &expect);
    let glm = "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>x <y\n z</arg_value>\n\
               <arg_key>n</arg_key>\n<arg_value>[1, 2]</arg_value>\n</tool_call>\n\
               <tool_call>g</tool_call>";
    check(Family::Glm, TOOLS, glm, &expect);
    check(Family::Glm, TOOLS, &glm.replace("f\n<arg", "f<arg"), &expect);
    check(Family::QwenXml, (false, false), qwen, &[content(qwen)]);
    for text in
        ["a <tool_call> mark", "</tool_call>", "<tool_call>\n<functio", "<function=", "<function=>"]
    {
        check(Family::QwenXml, TOOLS, text, &[content(text)]);
    }
    // Cut within a value: what was whole.
    let cut = "<function=f><parameter=a>1</parameter><parameter=b>2";
    check(Family::QwenXml, TOOLS, cut, &call("f", r#"{"a": 1"#));
}

#[test]
fn values_between_tags_are_texts_where_the_tool_says_so() {
    let text = "<function=f>\n<parameter=a>\n12\n</parameter>\n<parameter=b>\n12\n</parameter>\n\
                <parameter=c>True</parameter><parameter=d>ja</parameter></function><function=h>";
    for size in [1, 3, 1000] {
        let mut parser = AnswerParser::new(Family::QwenXml, CallsAre::Anywhere, false)
            .with_names(["f".to_owned()].into())
            .with_texts(
                [("f".to_owned(), "a".to_owned()), ("g".to_owned(), "b".to_owned())].into(),
            );
        let chars: Vec<char> = text.chars().collect();
        let mut parts = Vec::new();
        for piece in chars.chunks(size) {
            parts.extend(parser.push(&piece.iter().collect::<String>()));
        }
        parts.extend(parser.finish());
        let [begin, end] = call("f", r#"{"a": "12", "b": 12, "c": true, "d": "ja"}"#);
        assert_eq!(crate::answer::pieces::join(parts), [begin, end, content("<function=h>")]);
    }
}

#[test]
fn names_are_those_of_parsers_elsewhere() {
    for (name, family) in [
        ("granite", Family::Granite),
        ("phi4_mini_json", Family::Functools),
        ("kimi_k2", Family::Kimi),
        ("llama4_pythonic", Family::Pythonic),
        ("qwen3_coder", Family::QwenXml),
        ("seed_oss", Family::Seed),
        ("minimax_m2", Family::MiniMax),
        ("glm45", Family::Glm),
    ] {
        assert_eq!(Family::named(name), Some(family), "{name}");
    }
    assert_eq!(Family::named("made-up"), None);
}
