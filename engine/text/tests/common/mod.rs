//! Fixtures of the golden and property tests; written by `tools/make_golden.py`.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{borrow::Cow, path::PathBuf};

use engine_text::GgufVocab;
use serde_json::Value;

/// A file of `testdata`.
pub(crate) fn testdata(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// A JSON file of `testdata`.
pub(crate) fn golden(name: &str) -> Value {
    serde_json::from_str(&testdata(name)).expect("golden files are JSON")
}

/// A list of texts of a golden file.
pub(crate) fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().expect("a list");
    list.iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// A list of lists of token ids.
pub(crate) fn id_lists(value: &Value) -> Vec<Vec<u32>> {
    serde_json::from_value(value.clone()).expect("lists of ids")
}

/// The vocabulary of SmolLM2-135M-Instruct, with this pre-tokenizer.
pub(crate) fn smollm2(pre: &str) -> GgufVocab<'static> {
    let text = testdata("smollm2.txt");
    let (first, merges) = text.split_once("\n\n").expect("two parts");
    let mut first = first.lines();
    let num_control: usize = first.next().and_then(|n| n.parse().ok()).expect("a number");
    let mut tokens: Vec<Cow<'static, str>> = first.map(|token| token.to_owned().into()).collect();
    let merges: Vec<Cow<'static, str>> =
        merges.lines().map(|merge| merge.to_owned().into()).collect();
    tokens.extend(merges.iter().map(|merge| merge.replacen(' ', "", 1).into()));
    let token_types = (0..tokens.len()).map(|id| if id < num_control { 3 } else { 1 }).collect();
    GgufVocab {
        model: "gpt2".to_owned(),
        pre: Some(pre.to_owned()),
        tokens,
        token_types,
        merges,
        bos: Some(1),
        eos: Some(2),
        unk: Some(0),
        pad: Some(2),
        add_bos: Some(false),
        add_space_prefix: Some(false),
        chat_template: golden("smollm2.json")["chat_template"].as_str().map(str::to_owned),
        ..GgufVocab::default()
    }
}

/// A small SentencePiece vocabulary with byte fallback.
pub(crate) fn spm() -> GgufVocab<'static> {
    let golden = golden("spm.json");
    let tokens = strings(&golden["tokens"]);
    let id = |text: &str| tokens.iter().position(|token| token == text).map(|id| id as u32);
    GgufVocab {
        model: "llama".to_owned(),
        bos: id("<s>"),
        eos: id("</s>"),
        unk: id("<unk>"),
        scores: serde_json::from_value(golden["scores"].clone()).expect("scores"),
        token_types: serde_json::from_value(golden["types"].clone()).expect("types"),
        tokens: tokens.into_iter().map(Into::into).collect(),
        ..GgufVocab::default()
    }
}

/// A vocabulary of `vocab_NAME.json`, with its golden.
pub(crate) fn small(name: &str) -> (GgufVocab<'static>, Value) {
    let golden = golden(&format!("vocab_{name}.json"));
    let fields = &golden["fields"];
    let text = |key: &str| fields[key].as_str().map(str::to_owned);
    let id = |key: &str| fields[key].as_u64().map(|id| id as u32);
    let list = |key: &str| match fields[key].is_null() {
        true => Value::Array(Vec::new()),
        false => fields[key].clone(),
    };
    let texts = |key: &str| strings(&list(key)).into_iter().map(Into::into).collect();
    let vocab = GgufVocab {
        model: text("model").expect("every vocabulary has a model"),
        name: text("name"),
        pre: text("pre"),
        tokens: texts("tokens"),
        merges: texts("merges"),
        scores: serde_json::from_value(list("scores")).expect("scores"),
        token_types: serde_json::from_value(list("token_type")).expect("types"),
        charsmap: serde_json::from_value(list("precompiled_charsmap")).expect("bytes"),
        bos: id("bos_token_id"),
        eos: id("eos_token_id"),
        unk: id("unknown_token_id"),
        sep: id("seperator_token_id"),
        add_bos: fields["add_bos_token"].as_bool(),
        add_space_prefix: fields["add_space_prefix"].as_bool(),
        remove_extra_whitespaces: fields["remove_extra_whitespaces"].as_bool(),
        ..GgufVocab::default()
    };
    (vocab, golden)
}
