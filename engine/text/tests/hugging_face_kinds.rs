//! Each kind of `tokenizer.json`: ids, text, text in pieces and bytes of tokens, against what the
//! `tokenizers` library decodes.

mod common;

use std::sync::{Arc, LazyLock};

use common::{small, strings};
use engine_text::{Detokenizer, GgufVocab, HuggingFaceFiles, StopMatcher, TextModel};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

/// A tokenizer of the library beside ours of the same file.
struct Pair {
    library: Tokenizer,
    model: Arc<TextModel>,
}

fn pair(parts: Value, added: &[&str]) -> Pair {
    let mut file = json!({"version": "1.0", "truncation": null, "padding": null,
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null});
    let vocab = parts["model"]["vocab"].clone();
    let id = |text: &str| match &vocab {
        Value::Object(ids) => ids[text].clone(),
        list => {
            let list = list.as_array().expect("a list");
            Value::from(list.iter().position(|entry| entry[0] == text).expect("in the list"))
        }
    };
    file["added_tokens"] = added
        .iter()
        .map(|text| {
            json!({"id": id(text), "content": text, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    file.as_object_mut().expect("an object").extend(parts.as_object().expect("an object").clone());
    let file = file.to_string();
    let files = HuggingFaceFiles { tokenizer_json: file.as_bytes(), ..HuggingFaceFiles::default() };
    Pair {
        library: Tokenizer::from_bytes(file.as_bytes()).expect("the library loads it"),
        model: Arc::new(TextModel::from_hugging_face(&files).expect("loads")),
    }
}

fn ids_of(vocab: &GgufVocab<'_>) -> Value {
    let ids = vocab.tokens.iter().zip(0..).map(|(token, id)| (token.to_string(), Value::from(id)));
    Value::Object(ids.collect::<Map<_, _>>())
}

/// SentencePiece's BPE with bytes, which Llama 2, Mistral and Gemma have with these parts.
fn bpe(parts: Value) -> Pair {
    let (vocab, _) = small("gemma4");
    let merges: Vec<&str> = vocab.merges.iter().map(|merge| &**merge).collect();
    let mut file = json!({"model": {"type": "BPE", "dropout": null, "unk_token": "<unk>",
        "fuse_unk": true, "byte_fallback": true, "vocab": ids_of(&vocab), "merges": merges}});
    file.as_object_mut().expect("an object").extend(parts.as_object().expect("an object").clone());
    pair(file, &["<unk>", "<s>", "</s>"])
}

fn escaped() -> Value {
    json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})
}

fn decoders(last: Option<Value>) -> Value {
    let mut list = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    list.extend(last);
    json!({"type": "Sequence", "decoders": list})
}

fn strip() -> Value {
    json!({"type": "Strip", "content": " ", "start": 1, "stop": 0})
}

static LLAMA2: LazyLock<Pair> = LazyLock::new(|| {
    bpe(json!({"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"}, escaped()]}, "decoder": decoders(Some(strip()))}))
});
static MISTRAL: LazyLock<Pair> = LazyLock::new(|| {
    bpe(json!({"pre_tokenizer": {"type": "Metaspace", "replacement": "▁",
        "prepend_scheme": "first", "split": false}, "decoder": decoders(Some(strip()))}))
});
static GEMMA: LazyLock<Pair> = LazyLock::new(|| {
    bpe(json!({"normalizer": escaped(), "decoder": decoders(None), "pre_tokenizer":
        {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
            "invert": false}}))
});
static UNIGRAM: LazyLock<Pair> = LazyLock::new(|| {
    let (vocab, _) = small("t5");
    let tokens: Vec<Value> =
        vocab.tokens.iter().zip(&vocab.scores).map(|(text, score)| json!([text, score])).collect();
    let space = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
        "split": true});
    let file = json!({"model": {"type": "Unigram", "unk_id": vocab.unk, "vocab": tokens,
        "byte_fallback": false}, "pre_tokenizer": space, "decoder": space});
    pair(file, &["<unk>", "</s>"])
});
static WORDPIECE: LazyLock<Pair> = LazyLock::new(|| {
    let (mut vocab, _) = small("bert");
    for token in &mut vocab.tokens {
        let text = match (token.strip_prefix('▁'), token.starts_with('[') && token.len() > 1) {
            (Some(word), _) => word.to_owned(),
            (None, true) => token.to_string(),
            (None, false) => format!("##{token}"),
        };
        *token = text.into();
    }
    let file = json!({"model": {"type": "WordPiece", "unk_token": "[UNK]",
        "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
        "vocab": ids_of(&vocab)}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "normalizer": {"type": "BertNormalizer", "clean_text": true,
            "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true}});
    pair(file, &["[UNK]", "[CLS]", "[SEP]"])
});

fn kinds() -> [(&'static str, &'static Pair); 5] {
    [
        ("Llama 2", &LLAMA2),
        ("Mistral", &MISTRAL),
        ("Gemma", &GEMMA),
        ("Unigram", &UNIGRAM),
        ("WordPiece", &WORDPIECE),
    ]
}

fn streamed(model: &Arc<TextModel>, ids: &[u32], skip: bool) -> String {
    let mut detokenizer = Detokenizer::new(model.clone(), skip, &[]);
    let mut text: String = ids.iter().map(|&id| detokenizer.push(id)).collect();
    text.push_str(&detokenizer.finish());
    text
}

fn check(kind: &str, pair: &Pair, text: &str) {
    let ids = pair.model.encode(text, false).expect("short");
    let encoding = pair.library.encode(text, false).expect("encodes");
    assert_eq!(ids, encoding.get_ids(), "{kind}: {text:?}");
    for skip in [false, true] {
        let decoded = pair.library.decode(&ids, skip).expect("decodes");
        assert_eq!(pair.model.decode(&ids, skip), decoded, "{kind}: {text:?}");
        assert_eq!(streamed(&pair.model, &ids, skip), decoded, "{kind}: {text:?}");
    }
    // A grammar sees the bytes of tokens one after the other, as the text goes on.
    let bytes: Vec<u8> = ids.iter().flat_map(|&id| pair.model.token_bytes(id)).collect();
    let whole = pair.model.decode(&ids, false);
    let whole = whole.as_bytes();
    assert!(bytes == whole || bytes.strip_prefix(b" ") == Some(whole), "{kind}: {text:?}");
}

#[test]
fn hard_texts_come_back_as_the_library_has_them() {
    let (_, golden) = small("bert");
    for text in strings(&golden["texts"]) {
        for (kind, pair) in kinds() {
            check(kind, pair, &text);
        }
    }
}

#[test]
fn text_with_bytes_comes_back_whole() {
    for text in ["héllo 漢字 😀", " two  spaces ", "\n\n a", "", " "] {
        for pair in [&*LLAMA2, &*GEMMA] {
            let ids = pair.model.encode(text, false).expect("short");
            assert_eq!(pair.model.decode(&ids, false), text);
        }
    }
}

#[test]
fn bytes_of_tokens_are_what_a_grammar_needs() {
    let id = |pair: &Pair, token: &str| pair.library.token_to_id(token).expect("in the vocabulary");
    assert_eq!(LLAMA2.model.token_bytes(id(&LLAMA2, "<0xE4>")), [0xE4]);
    assert_eq!(LLAMA2.model.token_bytes(id(&LLAMA2, "<0x0A>")), b"\n");
    assert_eq!(GEMMA.model.token_bytes(id(&GEMMA, "▁")), b" ");
    assert_eq!(UNIGRAM.model.token_bytes(id(&UNIGRAM, "▁")), b" ");
    assert_eq!(WORDPIECE.model.token_bytes(id(&WORDPIECE, "##a")), b"a");
    assert_eq!(WORDPIECE.model.token_bytes(id(&WORDPIECE, "a")), b" a");
    assert_eq!(WORDPIECE.model.token_bytes(id(&WORDPIECE, ",")), b",");
    for pair in [&*LLAMA2, &*UNIGRAM] {
        assert!(pair.model.is_special(id(pair, "</s>")));
    }
}

#[test]
fn a_stop_string_is_found_across_tokens_of_every_kind() {
    for (kind, pair) in kinds() {
        let ids = pair.model.encode("one two, three four", false).expect("short");
        let mut detokenizer = Detokenizer::new(pair.model.clone(), true, &[]);
        let mut matcher = StopMatcher::new(vec!["three".to_owned()], false);
        let mut text = String::new();
        let mut stopped = None;
        for id in ids {
            let step = matcher.push(&detokenizer.push(id));
            text += &step.emit;
            stopped = stopped.or(step.stopped);
        }
        assert_eq!((text.as_str(), stopped), ("one two, ", Some(0)), "{kind}");
    }
}

proptest! {
    #[test]
    fn any_text_streams_as_the_library_decodes_it(text in "[a-z ,.!é漢😀\n]{0,30}") {
        for (kind, pair) in kinds() {
            check(kind, pair, &text);
        }
    }

    #[test]
    fn any_tokens_stream_as_they_decode(
        ids in prop::collection::vec(0u32..720, 0..40), skip: bool,
    ) {
        for (_, pair) in kinds() {
            prop_assert_eq!(streamed(&pair.model, &ids, skip), pair.model.decode(&ids, skip));
        }
    }
}
