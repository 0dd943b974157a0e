//! Reads what `tools/make_golden.py` wrote: models that see, images, and what must come of them.
//!
//! Invariant: nothing here computes.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use engine_encoder::{EncoderOptions, Precision};
use engine_vision::{Model, Tower, open};
use serde::Deserialize;

/// Names of the models.
pub(crate) const MODELS: [&str; 3] = ["idefics3", "smolvlm", "smolvlm-whole"];

/// What a model must answer.
#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) images: BTreeMap<String, Cut>,
    pub(crate) seen: Seen,
    pub(crate) prompts: Vec<Prompt>,
}

/// How an image is cut.
#[derive(Deserialize)]
pub(crate) struct Cut {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) text: String,
}

/// What comes of an image's pieces.
#[derive(Deserialize)]
pub(crate) struct Seen {
    pub(crate) image: String,
    /// Of the first piece, channel by channel.
    pub(crate) values: Vec<f32>,
    pub(crate) states: Vec<f32>,
    pub(crate) rows: Vec<f32>,
}

/// A chat, and the logits of its last positions.
#[derive(Deserialize)]
pub(crate) struct Prompt {
    pub(crate) images: Vec<String>,
    pub(crate) tokens: Vec<u32>,
    pub(crate) logits: Vec<Vec<f32>>,
}

pub(crate) fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// The files of a folder, by name.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let file = |entry: std::fs::DirEntry| {
        (entry.file_name().to_str().expect("UTF-8").to_owned(), entry.path())
    };
    entries.map(|entry| file(entry.expect("an entry"))).collect()
}

pub(crate) fn model(name: &str) -> (Model, Golden) {
    let folder = testdata().join(name);
    let model = open(&files(&folder)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let golden = std::fs::read(folder.join("golden.json")).expect("golden.json");
    let golden = serde_json::from_slice(&golden).expect("what the script writes");
    (model.unwrap_or_else(|| panic!("{name} is not seen to see")), golden)
}

pub(crate) fn image(name: &str) -> Vec<u8> {
    std::fs::read(testdata().join("images").join(name)).expect("an image")
}

pub(crate) fn tower(model: &Model, precision: Precision) -> Tower {
    let options = EncoderOptions { threads: 2, max_batch_tokens: 1, precision, packed: None };
    Tower::new(model, options).expect("a tower")
}

/// The largest difference; infinite where one is not a number.
pub(crate) fn off(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len(), "lengths");
    let worse = |worst: f32, x: f32| if x.is_nan() { f32::INFINITY } else { worst.max(x) };
    got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, worse)
}
