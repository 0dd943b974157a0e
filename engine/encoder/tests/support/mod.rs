//! Reads what `tools/make_golden.py` wrote: models and what they must answer.
//!
//! Invariant: nothing here computes a row.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use engine_core::EncodeInput;
use engine_encoder::{
    DecoderEmbedder, DecoderModel, EncoderOptions, Model, Precision, TextEncoder, open,
    open_decoder,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What a model must answer.
#[derive(Deserialize)]
pub(crate) struct Golden {
    inputs: Vec<Input>,
    /// One for each input.
    pub(crate) rows: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Input {
    tokens: Vec<u32>,
    #[serde(default)]
    type_ids: Vec<u8>,
    #[serde(default)]
    not_pooled: usize,
}

impl Golden {
    pub(crate) fn inputs(&self) -> Vec<Arc<EncodeInput>> {
        let input = |Input { tokens, type_ids, not_pooled }: &Input| {
            let (tokens, type_ids) = (tokens.clone(), type_ids.clone());
            Arc::new(EncodeInput { tokens, type_ids, not_pooled: *not_pooled, tiles: None })
        };
        self.inputs.iter().map(input).collect()
    }
}

pub(crate) fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// Decoders that are embedders.
pub(crate) const DECODERS: [&str; 2] = ["qwen3", "llama"];

/// Names of the tiny encoders.
pub(crate) fn names() -> Vec<String> {
    let entries = std::fs::read_dir(testdata()).expect("testdata");
    let folders = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    let is_decoder = |path: &PathBuf| DECODERS.iter().any(|name| path.ends_with(name));
    let mut names: Vec<_> = folders
        .filter(|path| !is_decoder(path))
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names.len(), 31, "models: {names:?}");
    names
}

/// All files below a folder, by name.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap_or_else(|e| panic!("{}: {e}", next.display()))
        {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it");
                all.insert(name.to_str().expect("UTF-8").to_owned(), path);
            }
        }
    }
    all
}

pub(crate) fn model(name: &str) -> (Model, Golden) {
    let folder = testdata().join(name);
    let model = open(&files(&folder)).unwrap_or_else(|error| panic!("{name}: {error}"));
    (model.unwrap_or_else(|| panic!("{name} is not seen to be an encoder")), golden(&folder))
}

/// The real model in a folder that `cargo xtask test` fetches below `downloads`, or below the one
/// that the environment names; its weights are those of the digest.
pub(crate) fn fetched(variable: &str, downloads: &str, name: &str, sha256: &str) -> Model {
    let scratch = "../../.agentbase/downloads";
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(scratch).join(downloads);
    let folder = std::env::var_os(variable).map_or_else(default, PathBuf::from).join(name);
    assert!(
        folder.exists(),
        "{} is missing: `cargo xtask weights --tests` fetches it",
        folder.display()
    );
    let digest = Sha256::digest(std::fs::read(folder.join("model.safetensors")).expect("it reads"));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, sha256, "{} has another file", folder.display());
    let model = open(&files(&folder)).expect("the model opens");
    model.expect("it is seen to be an encoder")
}

fn golden(folder: &Path) -> Golden {
    let golden = std::fs::read(folder.join("golden.json")).expect("golden.json");
    serde_json::from_slice(&golden).expect("what the script writes")
}

pub(crate) fn decoder(name: &str) -> (DecoderModel, Golden) {
    let folder = testdata().join(name);
    let files = files(&folder);
    assert!(open(&files).expect("no error").is_none(), "{name} is no encoder");
    let model = open_decoder(&files).unwrap_or_else(|error| panic!("{name}: {error}"));
    (model.unwrap_or_else(|| panic!("{name} is not seen to be a decoder")), golden(&folder))
}

fn options(precision: Precision, threads: usize) -> EncoderOptions {
    EncoderOptions { threads, max_batch_tokens: 512, precision, packed: None }
}

pub(crate) fn embedder(name: &str, precision: Precision, threads: usize) -> DecoderEmbedder {
    DecoderEmbedder::new(decoder(name).0, options(precision, threads)).expect("an embedder")
}

pub(crate) fn encoder(model: &Model, precision: Precision, threads: usize) -> TextEncoder {
    TextEncoder::new(model, options(precision, threads)).expect("an encoder")
}

/// The largest difference between two rows; infinite where one is not a number.
pub(crate) fn off(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "lengths of rows");
    let worse = |worst: f32, x: f32| if x.is_nan() { f32::INFINITY } else { worst.max(x) };
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, worse)
}

/// The cosine of the angle between two rows.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "lengths of rows");
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
