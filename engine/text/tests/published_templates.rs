//! Published chat templates against transformers' rendering of them; the goldens are by
//! `tools/make_template_golden.py`.

mod common;

use std::collections::BTreeMap;

use common::{golden, testdata};
use engine_text::{ChatInput, Family, HuggingFaceFiles, TextModel};
use serde_json::{Map, Value, json};

/// What `strftime_now` gave when the goldens were made, in the ways templates ask for it.
const THEN: [(&str, &str); 4] = [
    ("07 Nov 2031", "%d %b %Y"),
    ("2031-11-07", "%Y-%m-%d"),
    ("November 07, 2031", "%B %d, %Y"),
    ("07 November 2031", "%d %B %Y"),
];

/// A model with this template and the special tokens of the goldens.
fn model(template: &Value) -> TextModel {
    let tokenizer = json!({"version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "decoder": null, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}});
    let config = json!({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
        "pad_token": "<pad>", "chat_template": template});
    TextModel::from_hugging_face(&HuggingFaceFiles {
        tokenizer_json: tokenizer.to_string().as_bytes(),
        tokenizer_config: Some(config.to_string().as_bytes()),
        ..HuggingFaceFiles::default()
    })
    .unwrap_or_else(|err| panic!("{err}"))
}

/// The names of all templates.
fn names() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/templates");
    let files = std::fs::read_dir(folder).expect("the folder is there");
    let names = files.filter_map(|file| {
        let name = file.expect("readable").file_name().into_string().expect("plain");
        name.strip_suffix(".jinja").map(str::to_owned)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn render(model: &TextModel, chat: &Value) -> Result<String, String> {
    let mut input = ChatInput::new(&chat["messages"]);
    input.tools = chat.get("tools");
    input.add_generation_prompt = chat["add_generation_prompt"].as_bool().unwrap_or(true);
    input.kwargs = chat["kwargs"].as_object().cloned().unwrap_or_default();
    model.render_chat(&input).map_err(|err| err.to_string())
}

/// The same with calls' arguments as JSON text, as OpenAI's API has them.
fn with_text_arguments(chat: &Value) -> Value {
    let mut chat = chat.clone();
    for message in chat["messages"].as_array_mut().expect("a list") {
        for call in message["tool_calls"].as_array_mut().into_iter().flatten() {
            let text = call["function"]["arguments"].to_string();
            call["function"]["arguments"] = Value::from(text);
        }
        if message["tool_calls"].is_null() {
            message.as_object_mut().expect("an object").remove("tool_calls");
        }
    }
    chat
}

/// The golden as it is today, and where attributes are what they are called: transformers takes
/// Command R's `.items` for a method of the object.
fn today(text: &str) -> String {
    let text = text.replace("List[Union[]]", "List[int]");
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
    THEN.iter()
        .fold(text, |text, (then, format)| text.replace(then, &now.format(format).to_string()))
}

#[test]
fn prompts_are_those_of_transformers() {
    let chats = golden("templates/chats.json");
    let chats: &Map<String, Value> = chats.as_object().expect("by name");
    let mut wrong = Vec::new();
    for name in names() {
        let model = model(&Value::from(testdata(&format!("templates/{name}.jinja"))));
        let prompts = golden(&format!("templates/{name}.json"));
        for (chat_name, chat) in chats {
            for (is_text, chat) in [(false, chat.clone()), (true, with_text_arguments(chat))] {
                let expected = &prompts[chat_name];
                let got = render(&model, &chat);
                let is_right = match (&got, expected) {
                    // A template that knows no parts writes Python's form of their list.
                    (Ok(_), Value::String(expected)) if expected.contains("{'type': ") => true,
                    // A client's own text has other spaces than Python's.
                    (Ok(prompt), Value::String(expected)) if is_text => {
                        prompt.replace(' ', "") == today(expected).replace(' ', "")
                    }
                    (Ok(prompt), Value::String(expected)) => *prompt == today(expected),
                    (Err(err), Value::Object(raised)) => {
                        err.contains(raised["raises"].as_str().expect("a text"))
                    }
                    // Where transformers fails on what a template does, we may do better.
                    (Err(err), Value::Null) => err.starts_with("chat template: "),
                    (Ok(_), Value::Null) => true,
                    _ => false,
                };
                if !is_right {
                    wrong.push(format!("{name} {chat_name}:\n{got:?}\n{expected:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn each_template_tells_its_family() {
    let others: BTreeMap<&str, Family> = [
        ("gpt-oss", Family::Harmony),
        ("llama-3.1", Family::Json),
        ("llama-3.2", Family::Json),
        ("llama-3.2-vision", Family::Json),
        ("mistral-nemo", Family::Mistral),
        ("mistral-small-3.2", Family::Mistral),
        ("mistral-v3", Family::Mistral),
        ("ministral-3-reasoning", Family::Mistral),
        ("deepseek-r1", Family::DeepSeek),
        ("deepseek-r1-distill-llama", Family::DeepSeek),
        ("deepseek-r1-distill-qwen", Family::DeepSeek),
        ("deepseek-v3.1", Family::DeepSeek),
        ("granite-3.0", Family::Granite),
        ("granite-3.3", Family::Granite),
        ("phi-4-mini", Family::Functools),
        ("command-r", Family::Command),
        ("command-r-tool_use", Family::Command),
        ("command-r-plus-tool_use", Family::Command),
        ("command-r7b-tool_use", Family::Command),
        ("kimi-k2", Family::Kimi),
        ("llama-4", Family::Pythonic),
        ("llama-4-json", Family::Json),
        ("command-a", Family::Command),
        ("command-r7b", Family::Command),
        ("deepseek-v2.5", Family::DeepSeek),
        ("deepseek-v3", Family::DeepSeek),
        ("granite-3.1", Family::Granite),
        ("granite-3.2", Family::Granite),
        ("lfm2", Family::Lfm),
        ("qwen3-coder", Family::QwenXml),
        ("qwen3.5", Family::QwenXml),
        ("seed-oss", Family::Seed),
        ("minimax-m2", Family::MiniMax),
        ("glm-4.6", Family::Glm),
    ]
    .into();
    for name in names() {
        let model = model(&Value::from(testdata(&format!("templates/{name}.jinja"))));
        let family = others.get(name.as_str()).copied().unwrap_or_default();
        assert_eq!(model.family(), family, "{name}");
    }
}

#[test]
fn named_templates_are_chosen_by_what_a_chat_has() {
    let template = |name: &str| testdata(&format!("templates/command-r{name}.jinja"));
    let list = json!([{"name": "tool_use", "template": template("-tool_use")},
        {"name": "default", "template": template("")},
        {"name": "rag", "template": template("-rag")}]);
    let named = model(&list);
    let chats = golden("templates/chats.json");
    let mut prompts = Vec::new();
    for (chat, name) in [("plain", ""), ("tools", "-tool_use"), ("documents", "-rag")] {
        let alone = model(&Value::from(template(name)));
        let prompt = render(&named, &chats[chat]).expect("renders");
        assert_eq!(Ok(&prompt), render(&alone, &chats[chat]).as_ref(), "{chat}");
        prompts.push(prompt);
    }
    assert!(prompts[0] != prompts[1] && prompts[1] != prompts[2]);
}
