//! Hostile texts, templates and files end in an error or in bounded work, never in a hang or crash.

mod common;

use common::{smollm2, spm};
use engine_text::limits::{MAX_RUN_CHARS, MAX_TEXT_BYTES};
use engine_text::{
    ChatInput, GgufVocab, HuggingFaceFiles, ROOMY_STACK_BYTES, TextError, TextModel, render_here,
};
use serde_json::{Value, json};

fn render(template: &str) -> Result<String, String> {
    render_with(template, &json!([{"role": "user", "content": "hi"}]))
}

fn render_with(template: &str, messages: &Value) -> Result<String, String> {
    let model = TextModel::byte_level_with(template);
    let rendered = model.and_then(|model| model.render_chat(&ChatInput::new(messages)));
    rendered.map_err(|err| err.to_string())
}

#[test]
fn hostile_templates_are_stopped() {
    for (what, template) in [
        (
            "nested loops",
            "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in \
            range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
        ),
        ("endless macro", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
        (
            "two macros",
            "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
        ),
        ("long string", "{{ 'a' * 10**9 }}"),
        (
            "doubled string",
            "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set \
            ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
        ),
        ("long list", "{{ ([0] * 10**9) | length }}"),
        ("long range", "{% for i in range(10**12) %}{% endfor %}"),
        ("includes itself", "{% include 'chat_template' %}"),
        ("huge join", "{{ (range(99999) | list | string) * 9999 }}"),
        (
            "exponential json",
            "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set \
            ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}",
        ),
        (
            "exponential text",
            "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set \
            ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
        ),
        ("replace bomb", "{{ ('a' * 100000).replace('a', 'b' * 100000) }}"),
        ("recursive loop", "{% set l = [1] %}{% for x in l recursive %}{{ loop(l) }}{% endfor %}"),
        ("indent", "{{ messages | tojson(indent=1000000000) }}{{ 'a' * 10**8 }}"),
        ("format", "{{ '%999999999d' | format(1) }}"),
        ("center", "{{ 'a' | center(999999999) }}"),
        ("power", "{{ 10 ** 99999999 }}"),
    ] {
        let err = render(template).expect_err(what);
        let is_named =
            ["chat template: ", "the chat is more than "].map(|said| err.starts_with(said));
        assert!(is_named.contains(&true), "{what}: {err}");
        assert!(err.len() < 500, "{what}: {err}");
    }
}

#[test]
fn output_without_end_is_cut_off_and_named() {
    let err = render("{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}");
    let expected = "the chat is more than 4194304 bytes of text, which are not tokenized at once";
    assert_eq!(err, Err(expected.to_owned()));
}

#[test]
fn deeply_nested_values_do_not_overflow_the_stack() {
    deeply_nested_values_are_refused();
    // Nor that of a thread which has the room itself.
    let thread = std::thread::Builder::new().stack_size(ROOMY_STACK_BYTES);
    let thread = thread.spawn(|| {
        render_here();
        deeply_nested_values_are_refused();
    });
    thread.unwrap().join().unwrap();
}

fn deeply_nested_values_are_refused() {
    let lists = ("[".repeat(100), "]".repeat(100));
    let deep = |inner: &str| format!("{}{inner}{}", lists.0, lists.1);
    let looped = |body: &str| {
        format!(
            "{{% set ns = namespace(l=[1]) %}}{{% for i in range(99999) %}}{body}{{% endfor %}}\
             {{{{ ns.l | string | length }}}}{{{{ ns.l | tojson | length }}}}"
        )
    };
    let many = |times: usize, text: &str| text.repeat(times);
    for (what, template) in [
        ("list in itself", looped("{% set ns.l = [ns.l] %}")),
        ("dict in itself", looped("{%- set\tns.l = {'a': ns.l} -%}")),
        ("literals", looped(&format!("{{% set ns.l = {} %}}", deep("ns.l")))),
        ("pairs", looped("{% set (x, ns.l) = (1, [ns.l]) %}")),
        ("string before", looped("{% set ns.l = ['%}', ns.l] %}")),
        ("block filter", looped("{% set ns.l | zip([ns.l]) %}x{% endset %}")),
        ("slices", looped("{% set ns.l = ns.l[:] %}{% set ns.l = [ns.l[0:]] %}")),
        ("items", looped("{% set ns.l = {'a': ns.l}.items() %}")),
        ("namespaces", looped("{% set ns.l = namespace(a=ns.l) %}")),
        (
            "one after another",
            "{% set a = 1 %}".to_owned() + &many(500, &format!("{{% set a = {} %}}", deep("a"))),
        ),
        ("slowly", "{% set a = 1 %}".to_owned() + &many(5000, "{% set a = [a] %}")),
    ] {
        let err = render(&template).expect_err(what);
        assert!(err.len() < 500, "{what}: {err}");
    }
    let macros = "{% set x = ns.l %}{% macro m() %}{{ x }}{% endmacro %}{% set ns.l = m %}";
    assert!(
        render(&looped(macros).replace("99999", "9999")).is_ok_and(|text| text.len() < 10),
        "stored as plain data"
    );
    let recursive =
        format!("{{% macro m(x) %}}{{{{ m({}) }}}}{{% endmacro %}}{{{{ m(1) }}}}", deep("x"));
    assert!(render(&recursive).is_err());
}

#[test]
fn a_namespace_that_holds_itself_is_a_copy() {
    let template = "{% set ns = namespace(a=1) %}{% set ns.a = ns %}{{ ns | tojson }}";
    assert_eq!(render(template).expect("renders"), r#"{"a": {"a": 1}}"#);
    let template = "{% set ns = namespace(a=1) %}{% set b = namespace(n=ns) %}{% set ns.a = b %}\
        {{ ns | tojson }}{{ b | tojson }}";
    assert!(render(template).is_ok_and(|text| text.len() < 200));
}

#[test]
fn long_texts_are_tokenized_or_refused() {
    let models = [
        TextModel::from_gguf(smollm2("smollm")).unwrap(),
        TextModel::from_gguf(smollm2("llama-bpe")).unwrap(),
        TextModel::from_gguf(spm()).unwrap(),
    ];
    let mega = 1 << 20;
    for model in &models {
        let longest = "a".repeat(MAX_RUN_CHARS);
        for text in [
            longest.clone(),
            " ".repeat(MAX_RUN_CHARS),
            "\n".repeat(MAX_RUN_CHARS),
            format!("{}x", " ".repeat(MAX_RUN_CHARS)),
            "!".repeat(MAX_RUN_CHARS),
            "7".repeat(MAX_RUN_CHARS),
            format!("{} ", "a".repeat(1000)).repeat(mega / 1001),
            "a b".repeat(mega / 3),
            "<|im_start|>".repeat(mega / 12),
        ] {
            let ids = model.encode(&text, false).expect("within the limits");
            assert_eq!(model.decode(&ids, false), text);
        }
        for text in ["a", " ", "\n", "!"] {
            let err = model.encode(&text.repeat(mega), false).expect_err("too long a run");
            assert!(matches!(err, TextError::RunTooLong { .. }), "{err}");
        }
        let err = model.encode(&"a ".repeat(MAX_TEXT_BYTES), false).expect_err("too long");
        assert!(matches!(err, TextError::TextTooLong { .. }), "{err}");
    }
}

#[test]
fn lying_gguf_fields_are_named() {
    type Change = fn(&mut GgufVocab<'_>);
    let cases: [(&str, Change); 11] = [
        ("tokenizer.ggml.model", |v| v.model = "rwkv".to_owned()),
        ("tokenizer.ggml.pre", |v| v.pre = Some("made-up".to_owned())),
        ("tokenizer.ggml.tokens", |v| v.tokens.clear()),
        ("tokenizer.ggml.tokens", |v| v.tokens[5] = v.tokens[6].clone()),
        ("tokenizer.ggml.tokens", |v| v.tokens[5] = "a".repeat(1 << 20).into()),
        ("tokenizer.ggml.token_type", |v| v.token_types.truncate(3)),
        ("tokenizer.ggml.scores", |v| v.scores.push(1.0)),
        ("tokenizer.ggml.merges", |v| v.merges.push("no_space".into())),
        ("tokenizer.ggml.merges", |v| v.merges.push("zz qqqqqqq".into())),
        ("tokenizer.ggml.eos_token_id", |v| v.eos = Some(1_000_000)),
        ("tokenizer.ggml.add_bos_token", |v| (v.bos, v.add_bos) = (None, Some(true))),
    ];
    for (field, change) in cases {
        let mut vocab = smollm2("smollm");
        change(&mut vocab);
        let err = TextModel::from_gguf(vocab).expect_err(field).to_string();
        assert!(err.contains(&format!("`{field}`")), "{field}: {err}");
    }
    let mut vocab = spm();
    vocab.scores.clear();
    let err = TextModel::from_gguf(vocab).expect_err("no scores").to_string();
    assert!(err.contains("tokenizer.ggml.scores"), "{err}");
    let mut vocab = spm();
    vocab.scores.fill(f32::NAN);
    TextModel::from_gguf(vocab).expect("odd scores are still an order");
}

#[test]
fn broken_hugging_face_files_are_named() {
    let contradicting = json!({"version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "decoder": null, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}});
    for json in ["", "{", "[]", "{\"model\": 1}", &contradicting.to_string(), &"[".repeat(100_000)]
    {
        let files =
            HuggingFaceFiles { tokenizer_json: json.as_bytes(), ..HuggingFaceFiles::default() };
        let err = TextModel::from_hugging_face(&files).expect_err("broken").to_string();
        assert!(err.contains("tokenizer.json"), "{err}");
    }
}

#[test]
fn a_vocabulary_larger_than_the_model_is_refused_with_both_numbers() {
    let model = TextModel::byte_level();
    assert_eq!(model.vocab_size(), 260);
    model.check_vocab(260).expect("fits");
    let err = model.check_vocab(259).expect_err("too small").to_string();
    assert!(err.contains("260") && err.contains("259"), "{err}");
}
