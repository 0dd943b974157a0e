//! Token ids and prompts against independent implementations: llama.cpp and sentencepiece.

mod common;

use std::sync::Arc;

use common::{golden, id_lists, smollm2, spm, strings};
use engine_text::{ChatInput, Detokenizer, HuggingFaceFiles, TextModel};
use serde_json::{Value, json};

fn streamed(model: &Arc<TextModel>, ids: &[u32]) -> String {
    let mut detokenizer = Detokenizer::new(model.clone(), false, &[]);
    let mut text: String = ids.iter().map(|&id| detokenizer.push(id)).collect();
    text.push_str(&detokenizer.finish());
    text
}

#[test]
fn smollm2_ids_equal_llama_cpp_for_every_pre_tokenizer() {
    let golden = golden("smollm2.json");
    let texts = strings(&golden["texts"]);
    for (pre, ids) in golden["ids"].as_object().expect("by pre-tokenizer") {
        let model = TextModel::from_gguf(smollm2(pre)).expect("the fixture loads");
        for (text, ids) in texts.iter().zip(id_lists(ids)) {
            assert_eq!(model.encode(text, false).expect("short"), ids, "{pre}: {text:?}");
        }
    }
}

#[test]
fn smollm2_text_comes_back_whole_and_in_pieces() {
    let model = Arc::new(TextModel::from_gguf(smollm2("smollm")).expect("the fixture loads"));
    assert_eq!(model.vocab_size(), 49152);
    assert_eq!(model.eos_token_ids(), [2, 0]);
    for text in strings(&golden("smollm2.json")["texts"]) {
        let ids = model.encode(&text, false).expect("short");
        assert_eq!(model.decode(&ids, false), text);
        assert_eq!(streamed(&model, &ids), text);
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| model.token_bytes(id)).collect();
        assert_eq!(bytes, text.as_bytes());
    }
}

#[test]
fn smollm2_prompts_equal_llama_cpp() {
    let golden = golden("smollm2.json");
    let model = TextModel::from_gguf(smollm2("smollm")).expect("the fixture loads");
    let chats = golden["chats"].as_array().expect("a list");
    for (messages, prompt) in chats.iter().zip(strings(&golden["prompts"])) {
        assert_eq!(model.render_chat(&ChatInput::new(messages)).expect("renders"), prompt);
    }
}

#[test]
fn sentencepiece_ids_and_text_equal_its_own() {
    let golden = golden("spm.json");
    let model = Arc::new(TextModel::from_gguf(spm()).expect("the fixture loads"));
    let texts = strings(&golden["texts"]);
    let decoded = strings(&golden["decoded"]);
    for ((text, ids), decoded) in texts.iter().zip(id_lists(&golden["ids"])).zip(decoded) {
        assert_eq!(model.encode(text, false).expect("short"), ids, "{text:?}");
        assert_eq!(model.decode(&ids, false), decoded);
        assert_eq!(streamed(&model, &ids), decoded);
    }
    assert_eq!(model.encode("a", true).expect("short").first(), spm().bos.as_ref());
}

/// The same vocabulary as the `tokenizer.json` that its authors publish has it.
fn smollm2_tokenizer_json() -> Value {
    let vocab = smollm2("smollm");
    let num_control = vocab.token_types.iter().filter(|&&kind| kind == 3).count();
    let added: Vec<Value> = (0..num_control)
        .map(|id| {
            json!({"id": id, "content": vocab.tokens[id], "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let ids: serde_json::Map<String, Value> = vocab
        .tokens
        .iter()
        .zip(0..)
        .map(|(token, id)| (token.to_string(), Value::from(id)))
        .collect();
    json!({
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 3,
            "strategy": "LongestFirst", "stride": 0}, "padding": null,
        "added_tokens": added, "normalizer": null, "post_processor": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
             "use_regex": true}]},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
            "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "fuse_unk": false,
            "byte_fallback": false, "vocab": ids, "merges": vocab.merges},
    })
}

#[test]
fn a_hugging_face_folder_gives_the_same_ids() {
    let tokenizer = smollm2_tokenizer_json().to_string();
    let config = json!({"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"},
        "chat_template": [
            {"name": "default", "template": "{{ bos_token }}{{ messages[0].content }}"},
            {"name": "tool_use", "template": "{{ tools | tojson }}"}]})
    .to_string();
    let model = TextModel::from_hugging_face(&HuggingFaceFiles {
        tokenizer_json: tokenizer.as_bytes(),
        tokenizer_config: Some(config.as_bytes()),
        generation_config: Some(br#"{"eos_token_id": [7, 2]}"#),
        config_json: Some(br#"{"eos_token_id": 0}"#),
        ..HuggingFaceFiles::default()
    })
    .expect("loads");
    assert_eq!(model.eos_token_ids(), [7, 2, 0]);
    let golden = golden("smollm2.json");
    for (text, ids) in strings(&golden["texts"]).iter().zip(id_lists(&golden["ids"]["smollm"])) {
        assert_eq!(model.encode(text, true).expect("short"), ids, "{text:?}");
        assert_eq!(&model.decode(&ids, false), text);
    }
    let messages = json!([{"role": "user", "content": "hi"}]);
    let mut chat = ChatInput::new(&messages);
    assert_eq!(model.render_chat(&chat).expect("renders"), "<|im_start|>hi");
    let tools = json!([{"z": 1, "a": "<é>"}]);
    chat.tools = Some(&tools);
    assert_eq!(model.render_chat(&chat).expect("renders"), r#"[{"z": 1, "a": "<é>"}]"#);
}

#[test]
fn the_configuration_decides_about_bos_as_in_transformers() {
    let tokenizer = smollm2_tokenizer_json().to_string();
    for (add, first) in [("true", 1), ("false", 6004)] {
        let config = format!(r#"{{"bos_token": "<|im_start|>", "add_bos_token": {add}}}"#);
        let model = TextModel::from_hugging_face(&HuggingFaceFiles {
            tokenizer_json: tokenizer.as_bytes(),
            tokenizer_config: Some(config.as_bytes()),
            ..HuggingFaceFiles::default()
        })
        .expect("loads");
        assert_eq!(model.encode("hi", true).expect("short")[0], first, "{add}");
    }
}
