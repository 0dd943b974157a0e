//! Folders that lie: each gets an error that names the file, field or tensor, however large the
//! numbers are, before anything is made of them.

mod support;

use std::collections::BTreeMap;

use engine_speech::{LoadError, Model, open};
use serde_json::{Value, json};
use support::{files, folder};

const HUGE: u64 = 1 << 63;

/// A golden model's files, with some fields of one of them set.
fn opened(file: &str, changes: &Value) -> Result<Option<Model>, LoadError> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut paths: BTreeMap<_, _> = files(&folder("multilingual"));
    let mut value: Value =
        serde_json::from_slice(&std::fs::read(&paths[file]).expect("the file")).expect("JSON");
    for (field, change) in changes.as_object().expect("an object") {
        value[field] = change.clone();
    }
    let changed = dir.path().join("changed");
    std::fs::write(&changed, value.to_string()).expect("a file in the temporary directory");
    paths.insert(file.to_owned(), changed);
    open(&paths)
}

fn error(file: &str, changes: &Value) -> String {
    match opened(file, changes) {
        Ok(_) => panic!("{file} with {changes} opened"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn configurations_that_cannot_be_or_do_not_fit() {
    for (changes, parts) in [
        (json!({"encoder_layers": HUGE}), &["encoder_layers", "256"][..]),
        (json!({"encoder_layers": 0}), &["encoder_layers", "0"]),
        (
            json!({"encoder_layers": 3}),
            &["model.encoder.layers.2.", "missing; encoder_layers is 3"],
        ),
        (json!({"encoder_layers": 1}), &["model.encoder.layers.1.", "wrong; encoder_layers is 1"]),
        (json!({"decoder_layers": 1}), &["alignment_heads", "1 layers"]),
        (json!({"decoder_attention_heads": 3}), &["decoder_attention_heads"]),
        (json!({"encoder_attention_heads": 32}), &["encoder_attention_heads"]),
        (json!({"d_model": HUGE}), &["d_model"]),
        (json!({"d_model": "wide"}), &["d_model"]),
        (json!({"d_model": null}), &["d_model", "missing"]),
        (
            json!({"decoder_ffn_dim": 41}),
            &["model.decoder.layers.0.fc1.weight", "decoder_ffn_dim is 41"],
        ),
        (json!({"num_mel_bins": 0}), &["num_mel_bins"]),
        (json!({"num_mel_bins": 81}), &["feature_size"]),
        (json!({"max_source_positions": HUGE}), &["max_source_positions"]),
        (json!({"max_source_positions": 8}), &["max_source_positions", "16"]),
        (
            json!({"max_target_positions": 65}),
            &["model.decoder.embed_positions.weight", "max_target_positions is 65"],
        ),
        (json!({"vocab_size": 100}), &["token 121", "100"]),
        (json!({"vocab_size": HUGE}), &["vocab_size"]),
        (json!({"activation_function": "odd"}), &["activation_function", "odd"]),
        (json!({"scale_embedding": true}), &["scale_embedding"]),
        (json!({"median_filter_width": 8}), &["median_filter_width", "8"]),
        (json!({"median_filter_width": 0}), &["median_filter_width", "0"]),
        (json!({"median_filter_width": HUGE}), &["median_filter_width"]),
    ] {
        let error = error("config.json", &changes);
        for part in parts {
            assert!(error.contains(part), "{changes}: {part:?} is not in: {error}");
        }
    }
    let other = opened("config.json", &json!({"architectures": ["WhisperModel"]}));
    assert!(other.expect("no error").is_none());
}

#[test]
fn marks_that_cannot_be() {
    for (changes, parts) in [
        (json!({"no_timestamps_token_id": null}), &["no_timestamps_token_id", "missing"][..]),
        (json!({"no_timestamps_token_id": u32::MAX}), &["no_timestamps_token_id"]),
        (json!({"no_timestamps_token_id": HUGE}), &["no_timestamps_token_id"]),
        (json!({"no_timestamps_token_id": 0}), &["eos_token_id"]),
        (json!({"eos_token_id": 200}), &["eos_token_id"]),
        (json!({"eos_token_id": -1}), &["eos_token_id"]),
        (json!({"lang_to_id": {"<|en|>": 232}}), &["lang_to_id", "232"]),
        (json!({"lang_to_id": [1]}), &["lang_to_id"]),
        (json!({"task_to_id": {"translate": 1000}}), &["task_to_id", "1000"]),
        (json!({"suppress_tokens": [1, 232]}), &["suppress_tokens", "232"]),
        (json!({"begin_suppress_tokens": [-1]}), &["begin_suppress_tokens"]),
        (json!({"prev_sot_token_id": 5000}), &["prev_sot_token_id", "5000"]),
        (json!({"alignment_heads": [[0, 1], [2, 0]]}), &["alignment_heads", "[2, 0]"]),
        (json!({"alignment_heads": [[0, 4]]}), &["alignment_heads", "[0, 4]"]),
        (json!({"alignment_heads": [[HUGE, HUGE]]}), &["alignment_heads", "2 layers"]),
        (json!({"alignment_heads": vec![[0, 0]; 9]}), &["alignment_heads", "9 heads", "8"]),
        (json!({"alignment_heads": [[0]]}), &["alignment_heads"]),
        (json!({"alignment_heads": [[0, -1]]}), &["alignment_heads"]),
    ] {
        let error = error("generation_config.json", &changes);
        for part in parts {
            assert!(error.contains(part), "{changes}: {part:?} is not in: {error}");
        }
    }
}

#[test]
fn features_that_are_not_made_here() {
    for (field, value) in [
        ("feature_size", json!(128)),
        ("sampling_rate", json!(8000)),
        ("hop_length", json!(200)),
        ("n_fft", json!(512)),
        ("chunk_length", json!(30)),
        ("do_normalize", json!(true)),
        ("dither", json!(0.1)),
    ] {
        let error = error("preprocessor_config.json", &json!({field: value}));
        assert!(error.contains(field), "{error}");
    }
}

#[test]
fn files_that_are_missing_are_named() {
    for missing in ["generation_config.json", "model.safetensors"] {
        let mut paths = files(&folder("multilingual"));
        paths.remove(missing).expect("it was there");
        let error = open(&paths).map(drop).expect_err("it does not open").to_string();
        assert!(error.contains(missing) || error.contains("no weights"), "{missing}: {error}");
    }
    assert!(open(&BTreeMap::new()).expect("no error").is_none());
}
