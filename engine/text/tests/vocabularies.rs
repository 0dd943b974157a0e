//! Every kind of GGUF vocabulary against llama.cpp, sentencepiece or `tokenizers`; the goldens are
//! by `tools/make_vocab_golden.py`.

mod common;

use std::sync::Arc;

use common::{golden, id_lists, small, smollm2, strings};
use engine_text::{Detokenizer, TextModel};
use serde_json::Value;

fn streamed(model: &Arc<TextModel>, ids: &[u32]) -> String {
    let mut detokenizer = Detokenizer::new(model.clone(), false, &[]);
    let mut text: String = ids.iter().map(|&id| detokenizer.push(id)).collect();
    text.push_str(&detokenizer.finish());
    text
}

/// Ids and, where the golden has it, text of a small vocabulary.
fn check(name: &str) -> Arc<TextModel> {
    let (vocab, golden) = small(name);
    let model = Arc::new(TextModel::from_gguf(vocab).expect("the fixture loads"));
    let texts = strings(&golden["texts"]);
    let ids = id_lists(&golden["ids"]);
    assert_eq!(texts.len(), ids.len());
    let decoded = match &golden["decoded"] {
        Value::Null => Vec::new(),
        decoded => strings(decoded),
    };
    for (i, (text, ids)) in texts.iter().zip(&ids).enumerate() {
        assert_eq!(&model.encode(text, false).expect("short"), ids, "{name}: {text:?}");
        assert_eq!(streamed(&model, ids), model.decode(ids, false), "{name}: {text:?}");
        if let Some(decoded) = decoded.get(i) {
            assert_eq!(&model.decode(ids, false), decoded, "{name}: {text:?}");
        }
    }
    model
}

#[test]
fn every_rule_of_splitting_gives_the_ids_of_llama_cpp() {
    let usual = golden("smollm2.json");
    let texts = strings(&usual["texts"]);
    let usual = id_lists(&usual["ids"]["gpt-2"]);
    let rules = golden("pre.json");
    let rules = rules.as_object().expect("by name");
    assert!(rules.len() > 20);
    for (pre, differing) in rules {
        let model = TextModel::from_gguf(smollm2(pre)).expect("the fixture loads");
        for (i, (text, usual)) in texts.iter().zip(&usual).enumerate() {
            let own = &differing[i.to_string()];
            let ids: Vec<u32> = match own {
                Value::Null => usual.clone(),
                own => serde_json::from_value(own.clone()).expect("ids"),
            };
            assert_eq!(model.encode(text, false).expect("short"), ids, "{pre}: {text:?}");
        }
    }
}

#[test]
fn unigram() {
    let model = check("t5");
    let (vocab, _) = small("t5");
    let ids = model.encode("a", true).expect("short");
    assert_eq!(ids.last(), vocab.eos.as_ref(), "T5 ends texts");
    assert_eq!(model.min_tokens(1000), 0, "what is unknown is joined");
    let word = vocab.tokens.iter().position(|token| token.starts_with('▁')).expect("words");
    let bytes = model.token_bytes(word as u32);
    assert!(bytes.starts_with(b" ") && !bytes.contains(&0xE2), "{bytes:?}");
}

#[test]
fn wordpiece() {
    let model = check("bert");
    let (vocab, _) = small("bert");
    let ids = model.encode("hello, World!", true).expect("short");
    assert_eq!((ids.first(), ids.last()), (vocab.bos.as_ref(), vocab.sep.as_ref()));
    assert_eq!(model.decode(&ids, true), "hello , world !");
    let token =
        |text: &str| vocab.tokens.iter().position(|other| other == text).map(|id| id as u32);
    let (first, rest) = (token("▁a").expect("a word"), token("a").expect("a rest"));
    assert_eq!(model.token_bytes(first), b" a");
    assert_eq!(model.token_bytes(rest), b"a");
    assert_eq!(model.decode(&[first, rest, first], false), "aa a");
}

#[test]
fn characters_with_merges() {
    let model = check("gemma4");
    let (vocab, _) = small("gemma4");
    assert_eq!(model.encode("a", true).expect("short").first(), vocab.bos.as_ref());
    let byte = vocab.tokens.iter().position(|token| token == "<0xE4>").expect("bytes");
    assert_eq!(model.token_bytes(byte as u32), [0xE4]);
}

#[test]
fn scores_alike_and_special_tokens_that_take_white_space() {
    let model = check("phi3");
    assert_eq!(model.min_tokens(1000), 0, "white space may go");
}

#[test]
fn other_kinds_are_named() {
    for kind in ["rwkv", "plamo2", "none", "made-up"] {
        let (mut vocab, _) = small("t5");
        vocab.model = kind.to_owned();
        let err = TextModel::from_gguf(vocab).expect_err(kind).to_string();
        assert!(err.contains(kind) && err.contains("gpt2, gemma4, llama, t5 and bert"), "{err}");
    }
    let (mut vocab, _) = small("t5");
    vocab.charsmap.truncate(100);
    let err = TextModel::from_gguf(vocab).expect_err("a cut map").to_string();
    assert!(err.contains("precompiled_charsmap"), "{err}");
    let (mut vocab, _) = small("bert");
    vocab.sep = None;
    vocab.tokens.truncate(50);
    vocab.token_types.truncate(50);
    vocab.unk = Some(1);
    vocab.bos = Some(2);
    let err = TextModel::from_gguf(vocab).expect_err("no end").to_string();
    assert!(err.contains("seperator_token_id"), "{err}");
}
