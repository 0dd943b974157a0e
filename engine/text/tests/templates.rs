//! What published chat templates use of Jinja and Python, against what transformers renders.

mod common;

use engine_text::{ChatInput, HuggingFaceFiles, TextError, TextModel};
use serde_json::{Value, json};

fn render(template: &str, messages: Value) -> Result<String, TextError> {
    let mut chat = ChatInput::new(&messages);
    chat.kwargs.insert("enable_thinking".to_owned(), json!(false));
    TextModel::byte_level_with(template)?.render_chat(&chat)
}

#[test]
fn the_dialect_of_chat_templates() {
    let messages =
        || json!([{"role": "system", "content": " S "}, {"role": "user", "content": "a,b"}]);
    for (template, expected) in [
        ("{{ messages[0].content.strip() }}|{{ messages[1]['content'].split(',')[-1] }}", "S|b"),
        (
            "{% for k, v in messages[1].items() %}{{ k }}={{ v }};{% endfor %}",
            "role=user;content=a,b;",
        ),
        (
            "{% for m in messages[1:] %}{{ m.role }}{% endfor %}{{ messages[::-1][0].role }}",
            "useruser",
        ),
        ("{{ 'x' if messages[1].content.startswith('a') else 'y' }}{{ 'A'.lower() }}", "xa"),
        (
            "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}\
                {% endfor %}{{ ns.n }}",
            "2",
        ),
        (
            "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}\
                {% break %}{% endfor %}",
            "user",
        ),
        ("  {% if true %}\nx\n  {% endif %}\ny", "x\ny"),
        ("{{ bos_token }}{{ eos_token }}{{ pad_token }}", "<bos><eos>"),
        ("{{ {'a': [1, 'é<'], 'b': none} | tojson }}", r#"{"a": [1, "é<"], "b": null}"#),
        ("{{ {'a': [1]} | tojson(indent=2) }}", "{\n  \"a\": [\n    1\n  ]\n}"),
        ("{{ {'a': [1, 2]} | tojson(separators=(',', ':')) }}", r#"{"a":[1,2]}"#),
        ("{% if tools %}T{% endif %}{{ tools is none }}{{ tools is defined }}", "TrueTrue"),
        ("{{ enable_thinking }}{{ missing is defined }}{{ messages | length }}", "FalseFalse2"),
        ("{% generation %}g{% endgeneration %}{%- generation -%} h {%- endgeneration -%}", "gh"),
        ("{% macro m(x, y='d') -%}{{ x }}{{ y }}{%- endmacro %}{{ m('1') }}", "1d"),
        (
            "{% macro m() %}x{% endmacro %}{% set f = m %}{{ f() }}\
             {% set a, b = 1, [2] %}{{ b[0] }}",
            "x2",
        ),
        ("{% for m in messages %}{% set l = loop %}{{ l.index }}{% endfor %}", "12"),
        ("{% set x %}b{% endset %}{% set y = '%}' + x -%}  {{ y }}", "%}b"),
        ("{{ messages | map(attribute='role') | join('+') }}{{ 'a' in 'cat' }}", "system+userTrue"),
        ("{{ messages[1].get('name', 'none') }}{{ strftime_now('%Y') | length }}", "none4"),
        ("{{ messages[0].content | trim }}{{ '%s-%s' | format('a', 1) }}{{ 'a' ~ 1 }}", "Sa-1a1"),
        ("{{ messages | selectattr('role', 'equalto', 'user') | list | length }}", "1"),
        (
            "{{ {'b': 'é😀', 'a': 1} | tojson(sort_keys=true, ensure_ascii=true) }}",
            r#"{"a": 1, "b": "\u00e9\ud83d\ude00"}"#,
        ),
        (r#"{{ {'a': [1, 2.5, none, true, "it's"]} }}"#, r#"{'a': [1, 2.5, None, True, "it's"]}"#),
        ("{{ 'x' ~ (['a'] | string) }}{{ 1 | string }}", "x['a']1"),
        (
            "{{ 'a\\n\\nb\\n' | indent(2, first=true) }}|{{ 'a\\nb' | indent }}",
            "  a\n\n  b\n|a\n    b",
        ),
        ("{{ none is iterable }}{{ 'a' is iterable }}{{ {} is sequence }}", "FalseTrueTrue"),
        ("{% if messages[0].content is string and messages is not mapping %}s{% endif %}", "s"),
    ] {
        let rendered =
            render(template, messages()).unwrap_or_else(|err| panic!("{template}: {err}"));
        assert_eq!(rendered, expected, "{template}");
    }
}

#[test]
fn a_template_error_says_what_the_template_said() {
    let err = render("a\n{{ raise_exception('roles must alternate') }}", json!([])).unwrap_err();
    assert_eq!(err.to_string(), "chat template: roles must alternate (line 2)");
    let err = render("{% for %}", json!([])).unwrap_err();
    assert!(err.to_string().contains("line 1"), "{err}");
    assert!(render("{{ messages[0].a.b }}", json!([{}])).is_err());
    assert!(render("{{ strftime_now('%Q%') }}", json!([])).is_err());
}

#[test]
fn parts_become_text_and_arguments_become_objects() {
    let part = |text: &str| json!({"type": "text", "text": text});
    let parts = json!([{"role": "user", "content": [part("a"), part("b")]}]);
    assert_eq!(render("{{ messages[0].content }}", parts.clone()).unwrap(), "a\nb");
    let template = "{% for p in messages[0].content %}{{ p['text'] }}{% endfor %}";
    assert_eq!(render(template, parts).unwrap(), "ab");
    let call = json!([{"role": "assistant", "content": null, "tool_calls": [{"function":
        {"name": "f", "arguments": "{\"z\": 1, \"a\": 2}"}}]}]);
    let template = "{{ messages[0].tool_calls[0].function.arguments | tojson }}";
    assert_eq!(render(template, call).unwrap(), r#"{"z": 1, "a": 2}"#);
}

/// As HuggingFaceTB publishes it with SmolVLM: of a text it would show nothing.
const OF_PARTS: &str = "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}\
    {% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}\
    {% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}\
    {% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n\
    {% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

#[test]
fn templates_of_models_that_see_get_parts_and_show_images() {
    let text = |text: &str| json!({"type": "text", "text": text});
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, text("What "), text("is it?")]},
        {"role": "assistant", "content": [text("A cat.")]},
        {"role": "user", "content": [text("And "), {"type": "image"}]},
    ]);
    let expected = "<|im_start|>System: Be brief.<end_of_utterance>\n\
                    User:<image>What is it?<end_of_utterance>\n\
                    Assistant: A cat.<end_of_utterance>\n\
                    User: And <image><end_of_utterance>\nAssistant:";
    assert_eq!(render(OF_PARTS, messages).unwrap(), expected);
    // Where texts are shown they stay texts, though parts would be shown as well.
    let either = "{% for m in messages %}{% if m.content is string %}text {{ m.content }}\
                  {% else %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}\
                  {% endfor %}";
    let said = json!([{"role": "user", "content": "Hi"}]);
    assert_eq!(render(either, said).unwrap(), "text Hi");
}

#[test]
fn a_final_message_can_be_continued() {
    let model = TextModel::byte_level();
    let messages =
        json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Sure, "}]);
    let mut chat = ChatInput::new(&messages);
    assert!(model.has_chat_template());
    let whole = model.render_chat(&chat).unwrap();
    assert!(whole.ends_with("Sure, <|im_end|>\n<|im_start|>assistant\n"), "{whole}");
    chat.continue_final_message = true;
    assert!(model.render_chat(&chat).is_err(), "both endings at once");
    chat.add_generation_prompt = false;
    let prompt = model.render_chat(&chat).unwrap();
    assert_eq!(prompt, "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nSure, ");
    let ids = model.encode(&prompt, false).unwrap();
    assert_eq!(ids.iter().filter(|&&id| id == 258).count(), 2, "written specials are tokens");
    assert_eq!(model.encode("a", true).unwrap(), [256, 97]);
}

#[test]
fn what_a_template_takes_decides_how_calls_are_given() {
    let messages = || {
        json!([{"role": "assistant", "content": null, "tool_calls": [{"function":
            {"name": "f", "arguments": {"a": [1]}}}]}])
    };
    let call = "messages[0].tool_calls[0].function.arguments";
    for (template, expected) in [
        (format!("{{{{ {call} | tojson }}}}"), r#"{"a": [1]}"#),
        (format!("{{{{ 'x' + {call} }}}}"), r#"x{"a": [1]}"#),
        ("{{ messages[0].content }}|".to_owned(), "|"),
        ("{{ messages[0].content is none }}".to_owned(), "True"),
    ] {
        assert_eq!(render(&template, messages()).unwrap(), expected, "{template}");
    }
}

#[test]
fn templates_come_from_several_files() {
    let tokenizer = json!({"version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "decoder": null, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})
    .to_string();
    let config = json!({"chat_template": [{"name": "default", "template": "config"},
        {"name": "tool_use", "template": "tools of the config"}]})
    .to_string();
    let files = HuggingFaceFiles {
        tokenizer_json: tokenizer.as_bytes(),
        tokenizer_config: Some(config.as_bytes()),
        ..HuggingFaceFiles::default()
    };
    let (messages, tools) = (json!([]), json!([{"type": "function"}]));
    let prompts = |files: &HuggingFaceFiles<'_>| {
        let model = TextModel::from_hugging_face(files).unwrap();
        let plain = ChatInput::new(&messages);
        let with_tools = ChatInput { tools: Some(&tools), ..plain.clone() };
        [plain, with_tools].map(|chat| model.render_chat(&chat).unwrap())
    };
    assert_eq!(prompts(&files), ["config", "tools of the config"]);
    let named = [("tool_use", "tools of a file")];
    let files = HuggingFaceFiles { named_templates: &named, ..files };
    assert_eq!(prompts(&files), ["config", "tools of a file"]);
    let json = br#"{"chat_template": "json"}"#;
    let files = HuggingFaceFiles { chat_template_json: Some(json), ..files };
    assert_eq!(prompts(&files), ["json", "tools of a file"]);
    let files = HuggingFaceFiles { chat_template: Some("jinja"), ..files };
    assert_eq!(prompts(&files), ["jinja", "tools of a file"]);
}

#[test]
fn a_gguf_file_may_name_templates() {
    let mut vocab = common::smollm2("smollm");
    vocab.chat_template = Some("plain".to_owned());
    vocab.named_templates = vec![("tool_use".to_owned(), "tools".to_owned())];
    let model = TextModel::from_gguf(vocab).unwrap();
    let (messages, tools) = (json!([]), json!([{"type": "function"}]));
    let mut chat = ChatInput::new(&messages);
    assert_eq!(model.render_chat(&chat).unwrap(), "plain");
    chat.tools = Some(&tools);
    assert_eq!(model.render_chat(&chat).unwrap(), "tools");
}
