//! One text and two, framed and cut, against what the `tokenizers` library makes of the same file.

mod common;

use common::small;
use engine_text::{Cut, HuggingFaceFiles, Keep, TextError, TextModel};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::{Tokenizer, TruncationDirection, TruncationParams};

const NUM_WORDS: usize = 40;

/// A tokenizer of words `w0`, `w1`, …, with this post-processor; the library's, and ours.
fn words(post_processor: &Value) -> (Tokenizer, TextModel) {
    let special = ["[CLS]", "[SEP]", "[UNK]"].into_iter().map(str::to_owned);
    let names = special.chain((0..NUM_WORDS).map(|number| format!("w{number}")));
    let vocab: serde_json::Map<String, Value> =
        names.zip(0..).map(|(name, id)| (name, Value::from(id))).collect();
    let file = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
        "post_processor": post_processor,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"}});
    let file = file.to_string();
    let files = HuggingFaceFiles { tokenizer_json: file.as_bytes(), ..HuggingFaceFiles::default() };
    let model = TextModel::from_hugging_face(&files).expect("loads");
    (Tokenizer::from_bytes(file.as_bytes()).expect("the library loads it"), model)
}

fn post_processors() -> [Value; 4] {
    let (cls, sep) = (json!(["[CLS]", 0]), json!(["[SEP]", 1]));
    let token = |id: &str, type_id: u32| json!({"SpecialToken": {"id": id, "type_id": type_id}});
    let text = |id: &str, type_id: u32| json!({"Sequence": {"id": id, "type_id": type_id}});
    let entry = |id: &str, number: u32| json!({"id": id, "ids": [number], "tokens": [id]});
    [
        json!({"type": "BertProcessing", "cls": cls, "sep": sep}),
        json!({"type": "RobertaProcessing", "cls": cls, "sep": sep, "trim_offsets": true,
            "add_prefix_space": true}),
        json!({"type": "TemplateProcessing",
            "single": [text("A", 0), token("[SEP]", 0)],
            "pair": [token("[CLS]", 0), text("B", 1), token("[SEP]", 1), text("A", 0)],
            "special_tokens": {"[CLS]": entry("[CLS]", 0), "[SEP]": entry("[SEP]", 1)}}),
        Value::Null,
    ]
}

fn text(first_word: usize, len: usize) -> String {
    let words = (0..len).map(|idx| format!("w{}", (first_word + idx) % NUM_WORDS));
    words.collect::<Vec<_>>().join(" ")
}

proptest! {
    #[test]
    fn the_frame_is_the_librarys(
        kind in 0..4usize,
        len in 0..14usize,
        other in proptest::option::of(0..14usize),
        max in proptest::option::of(4..26usize),
        from_end: bool,
    ) {
        let (mut library, model) = words(&post_processors()[kind]);
        let direction =
            if from_end { TruncationDirection::Left } else { TruncationDirection::Right };
        let params = max.map(|max_length| {
            TruncationParams { max_length, direction, ..TruncationParams::default() }
        });
        library.with_truncation(params).unwrap();
        let (first, second) = (text(0, len), other.map(|len| text(20, len)));
        let wanted = match &second {
            None => library.encode(first.as_str(), true),
            Some(second) => library.encode((first.as_str(), second.as_str()), true),
        };
        let wanted = wanted.unwrap();
        let keep = if from_end { Keep::End } else { Keep::Start };
        let plain = |text: &str| model.encode(text, false).unwrap();
        let second = second.map(|second| plain(&second));
        let cut = Cut { max_tokens: max, keep, max_second: None };
        let framed = model.frame(&plain(&first), second.as_deref(), cut).unwrap();
        prop_assert_eq!(&framed.tokens, wanted.get_ids());
        let types: Vec<u32> = match framed.type_ids.is_empty() {
            true => vec![0; framed.tokens.len()],
            false => framed.type_ids.iter().map(|id| u32::from(*id)).collect(),
        };
        prop_assert_eq!(types, wanted.get_type_ids());
        let first_word = framed.tokens.get(framed.first_at).copied();
        prop_assert!(len == 0 || max.is_some() || first_word == Some(3));
    }
}

#[test]
fn the_second_text_has_a_limit_of_its_own() {
    let (_, model) = words(&post_processors()[0]);
    let cut = Cut { max_second: Some(2), ..Cut::default() };
    let framed = model.frame(&[3, 4, 5], Some(&[6, 7, 8]), cut).unwrap();
    assert_eq!(framed.tokens, [0, 3, 4, 5, 1, 6, 7, 1]);
    assert_eq!(framed.type_ids, [0, 0, 0, 0, 0, 1, 1, 1]);
    let cut = Cut { max_second: Some(2), max_tokens: Some(7), keep: Keep::End };
    let framed = model.frame(&[3, 4, 5], Some(&[6, 7, 8]), cut).unwrap();
    assert_eq!(framed.tokens, [0, 4, 5, 1, 7, 8, 1]);
}

#[test]
fn less_room_than_the_frame_takes_leaves_the_frame() {
    let (_, model) = words(&post_processors()[0]);
    let cut = Cut { max_tokens: Some(1), ..Cut::default() };
    assert_eq!(model.frame(&[3], None, cut).unwrap().tokens, [0, 1]);
    assert_eq!(model.frame(&[3], Some(&[4]), cut).unwrap().tokens, [0, 1, 1]);
}

#[test]
fn a_gguf_bert_frames_as_bert_does() {
    let (vocab, _) = small("bert");
    let model = TextModel::from_gguf(vocab).unwrap();
    let whole = model.encode("", true).unwrap();
    let [cls, sep] = whole[..] else { panic!("{whole:?}") };
    let framed = model.frame(&[7], Some(&[8, 9]), Cut::default()).unwrap();
    assert_eq!(framed.tokens, [cls, 7, sep, 8, 9, sep]);
    assert_eq!(framed.type_ids, [0, 0, 0, 1, 1, 1]);
    let alone = model.frame(&model.encode("hello", false).unwrap(), None, Cut::default()).unwrap();
    assert_eq!(alone.tokens, model.encode("hello", true).unwrap());
}

#[test]
fn a_tokenizer_without_an_end_has_no_pairs() {
    let model = TextModel::byte_level();
    assert_eq!(model.frame(&[97], None, Cut::default()).unwrap().tokens, [256, 97]);
    let error = model.frame(&[97], Some(&[98]), Cut::default()).unwrap_err();
    assert!(matches!(error, TextError::NoPairs), "{error}");
}
