//! Random walks through grammars: whatever comes of them matches, as others judge it.

mod calls;
mod support;

use engine_grammar::{CompileError, Source};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use support::{End, compiler, random_schema, walk};

/// Whether a text is what was asked for.
type Check<'a> = &'a dyn Fn(&str) -> bool;

/// Walks through a schema some times; each answer that ended is held to the schema.
fn hold(schema: &Value, rng: &mut StdRng) -> Result<usize, String> {
    let compiler = compiler();
    let compiled = match compiler.compile("t", &Source::JsonSchema(schema.clone())) {
        Ok(compiled) => compiled,
        Err(CompileError::Invalid(message)) if message.contains("Unsatisfiable") => return Ok(0),
        Err(error) => return Err(format!("{error}: {schema}")),
    };
    let validator = jsonschema::options().should_validate_formats(true).build(schema);
    let validator = validator.map_err(|error| format!("{error}: {schema}"))?;
    let mut num_ended = 0;
    for _ in 0..4 {
        let (text, end) = walk(&*compiled.grammar(), rng, 600);
        if end == End::Cut {
            continue;
        }
        num_ended += 1;
        // JSON has numbers that no float holds.
        let value = serde_json::from_str(&text);
        if value.as_ref().is_err_and(|error| error.to_string().contains("out of range")) {
            continue;
        }
        let value: Value = value.map_err(|error| format!("{error}\n{text}\nfor {schema}"))?;
        if let Err(error) = validator.validate(&value) {
            return Err(format!("{error}\n{text}\nfor {schema}"));
        }
    }
    Ok(num_ended)
}

#[test]
fn whatever_follows_a_generated_schema_is_valid() {
    let mut num_ended = 0;
    for seed in 0..480 {
        let mut rng = StdRng::seed_from_u64(seed);
        let schema = random_schema(&mut rng, 3);
        match hold(&schema, &mut rng) {
            Ok(ended) => num_ended += ended,
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    assert!(num_ended > 960, "only {num_ended} of 1,920 walks came to an end");
}

#[test]
fn whatever_follows_a_picked_schema_is_valid() {
    let picked: Vec<Value> =
        serde_json::from_str(include_str!("schemas.json")).expect("the file is well-formed");
    assert!(picked.len() >= 40, "{}", picked.len());
    let mut rng = StdRng::seed_from_u64(7);
    for schema in &picked {
        let ended =
            (0..6).map(|_| hold(schema, &mut rng).unwrap_or_else(|error| panic!("{error}")));
        assert!(ended.sum::<usize>() > 0, "no walk came to an end: {schema}");
    }
}

#[test]
fn texts_match_their_expression_choice_or_grammar() {
    let compiler = compiler();
    let mut rng = StdRng::seed_from_u64(3);
    let is_date = |text: &str| {
        let parts: Vec<&str> = text.split('-').collect();
        let all_digits = parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()));
        all_digits && parts.iter().map(|part| part.len()).eq([4, 2, 2])
    };
    let is_sum = |text: &str| {
        let depth = text.chars().try_fold(0_i32, |depth, c| match c {
            '(' => Some(depth + 1),
            ')' if depth > 0 => Some(depth - 1),
            ')' => None,
            _ => Some(depth),
        });
        depth == Some(0) && text.chars().all(|c| "0123456789+*()".contains(c))
    };
    let gbnf = r#"
        root ::= term ("+" term)*
        term ::= factor ("*" factor)*   # binds tighter
        factor ::= [0-9]{1,3} | "(" root ")"
    "#;
    let lark = "start: expr\nexpr: NUMBER | \"(\" expr \"+\" expr \")\"\nNUMBER: /[0-9]{1,3}/\n";
    let cases: [(Source, Check<'_>); 4] = [
        (Source::Regex("[0-9]{4}-[0-9]{2}-[0-9]{2}".into()), &is_date),
        (Source::Choice(["yes", "no", "n\"ö\n"].map(String::from).to_vec()), &|text| {
            ["yes", "no", "n\"ö\n"].contains(&text)
        }),
        (Source::Grammar(gbnf.into()), &is_sum),
        (Source::Grammar(lark.into()), &is_sum),
    ];
    for (source, is_right) in cases {
        let compiled = compiler.compile("t", &source).expect("it compiles");
        let walks: Vec<_> = (0..40).map(|_| walk(&*compiled.grammar(), &mut rng, 300)).collect();
        let ended: Vec<_> = walks.iter().filter(|(_, end)| *end == End::Ended).collect();
        assert!(ended.len() > 20, "{source:?}: {walks:?}");
        for (text, _) in ended {
            assert!(is_right(text), "{source:?}: {text}");
        }
    }
}

#[test]
fn as_many_choices_as_are_allowed_can_be_followed() {
    let mut rng = StdRng::seed_from_u64(11);
    let names: Vec<String> = (0..5_000).map(|i| format!("{}-é\"{i}", i * 7919 % 5_003)).collect();
    let numbers: Vec<String> = (0..5_000).map(|i| format!("item number {i:04}")).collect();
    for choices in [names, numbers] {
        let compiled = compiler().compile("t", &Source::Choice(choices.clone())).unwrap();
        for _ in 0..20 {
            let (text, end) = walk(&*compiled.grammar(), &mut rng, 100);
            assert_eq!(end, End::Ended, "{text}");
            assert!(choices.contains(&text), "{text}");
        }
    }
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    let compiler = compiler();
    let many: Vec<usize> = (0..10_000).collect();
    let cases = [
        (Source::JsonSchema(json!({"not": {"type": "string"}})), "not"),
        (Source::JsonSchema(json!({"type": "object", "minProperties": 2.5})), "minProperties"),
        (Source::JsonSchema(json!({"type": "strin"})), "strin"),
        (Source::JsonSchema(json!({"$ref": "https://example.com/x.json"})), "ref"),
        (Source::JsonSchema(json!({"$ref": "#/$defs/nowhere"})), "nowhere"),
        (Source::JsonSchema(json!({"type": "string", "format": "no-such"})), "no-such"),
        (Source::JsonSchema(json!({"type": "string", "pattern": "(?=a)b"})), "look"),
        (Source::JsonSchema(json!("text")), "object"),
        (Source::JsonSchema(json!({"enum": many})), "10000"),
        (Source::Regex("(".into()), "regex"),
        (Source::Regex(r"(a)\1".into()), ""),
        (Source::Choice(Vec::new()), "choice"),
        (Source::Choice((0..5_001).map(|i| i.to_string()).collect()), "5001 choices"),
        (Source::Choice(vec!["a".into(), String::new()]), "empty"),
        (Source::Grammar("start: missing".into()), "missing"),
        (
            Source::Grammar("start: %json {\"x-guidance\": {\"lenient\": true}}".into()),
            "x-guidance",
        ),
        (Source::Grammar("root ::= missing".into()), "missing"),
    ];
    for (source, expect) in cases {
        let error = compiler.compile("t", &source).expect_err("it is refused").to_string();
        assert!(error.contains(expect), "{source:?}: {error}");
        assert!(!error.contains("panic") && !error.contains('<'), "{error}");
    }
}

/// A schema that leads through `num` references to a text.
fn references(num: usize) -> Value {
    let defs = (0..num).map(|i| {
        let next = format!("#/$defs/a{}", i + 1);
        (format!("a{i}"), json!({"$ref": next}))
    });
    let last = (format!("a{num}"), json!({"type": "string"}));
    json!({"$defs": serde_json::Map::from_iter(defs.chain([last])), "$ref": "#/$defs/a0"})
}

fn patterns(num: usize) -> Value {
    let patterns = (0..num).map(|i| (format!("^k{i:05}$"), json!({"type": "null"})));
    Value::Object(serde_json::Map::from_iter(patterns))
}

/// Grammars that are made to be slow are refused, or followed; each within a bound.
#[test]
fn hostile_grammars_end() {
    let compiler = compiler();
    let mut rng = StdRng::seed_from_u64(5);
    let nest = |depth: usize| {
        (0..depth).fold(json!({"type": "string"}), |inner, _| {
            json!({"type": "object", "properties": {"a": inner.clone(), "b": inner},
                "additionalProperties": false})
        })
    };
    let any_of: Vec<Value> = (0..3000).map(|i| json!({"const": format!("{i}a")})).collect();
    let hostile = [
        Source::JsonSchema(nest(9)),
        Source::JsonSchema(json!({"anyOf": any_of})),
        Source::JsonSchema(json!({"type": "string", "pattern": "^(a|aa)+$"})),
        Source::JsonSchema(json!({"type": "string", "maxLength": 1_000_000_000})),
        Source::JsonSchema(
            json!({"type": "array", "minItems": 100_000, "items": {"type": "null"}}),
        ),
        Source::JsonSchema(json!({"allOf": [{"$ref": "#"}]})),
        Source::JsonSchema(
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
            "$ref": "#/$defs/a"}),
        ),
        Source::Regex("(a{1,1000}){1,1000}{1,1000}".into()),
        Source::Regex("(x+x+)+y".into()),
        Source::Regex("(.*a){30}".into()),
        Source::Regex(format!("{}a{}", "(".repeat(2000), ")*".repeat(2000))),
        Source::Grammar("start: a\na: a a | \"x\" | \"\"".into()),
        Source::Grammar("root ::= root root root | \"x\"?".into()),
        Source::Grammar("root ::= root".into()),
        Source::Grammar(format!("root ::= \"a\"{}", "*".repeat(100_000))),
        Source::Grammar((0..998).fold("root ::= r0\nr998 ::= \"a\"\n".into(), |text, i| {
            text + &format!("r{i} ::= r{}\n", i + 1)
        })),
        Source::Grammar((0..1990).fold("start: r0\nr1990: \"a\"\n".into(), |text, i| {
            text + &format!("r{i}: r{}\n", i + 1)
        })),
        Source::Grammar(
            (0..20_000).fold("start: r0\n".into(), |text, i| text + &format!("r{i}: r{}\n", i + 1)),
        ),
        Source::JsonSchema(references(999)),
        Source::JsonSchema(references(20_000)),
        Source::JsonSchema(json!({"type": "object", "patternProperties": patterns(10_000)})),
        Source::JsonSchema(json!({"type": "object", "patternProperties": patterns(32)})),
        Source::Grammar((0..40).fold("root ::= r0\nr40 ::= \"a\"\n".to_owned(), |text, i| {
            text + &format!("r{i} ::= r{0} r{0} | r{0}\n", i + 1)
        })),
    ];
    for source in hostile {
        match compiler.compile("t", &source) {
            Ok(compiled) => {
                // It asserts that something may always follow, or the grammar says that it failed.
                walk(&*compiled.grammar(), &mut rng, 60);
            }
            Err(error) => assert!(!error.to_string().contains("panic"), "{error}"),
        }
        let plain = compiler.compile("t", &Source::Regex("ab".into())).expect("it still works");
        assert_eq!(walk(&*plain.grammar(), &mut rng, 9), ("ab".to_owned(), End::Ended));
    }
}
