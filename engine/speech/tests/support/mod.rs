//! Reads what `tools/make_golden.py` wrote: models and what they must answer.
//!
//! Invariant: nothing here computes what a model says.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use engine_core::{Segment, Speech, SpeechInput};
use engine_encoder::Precision;
use engine_speech::{DecodingOptions, Executor, Model, SpeechOptions, TextOf, Transcriber, open};
use serde::Deserialize;

/// The tiny models.
pub(crate) const NAMES: [&str; 2] = ["multilingual", "english"];

/// What a model must answer.
#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) mel: Mel,
    pub(crate) encoder: Rows,
    pub(crate) logits: Logits,
    /// The mark of the likeliest language.
    pub(crate) language: u32,
    pub(crate) recordings: Vec<Recording>,
}

/// Every so many frames of a recording's features.
#[derive(Deserialize)]
pub(crate) struct Mel {
    pub(crate) num_samples: usize,
    pub(crate) every: usize,
    pub(crate) frames: Vec<Vec<f32>>,
}

/// Every so many rows.
#[derive(Deserialize)]
pub(crate) struct Rows {
    pub(crate) every: usize,
    pub(crate) rows: Vec<Vec<f32>>,
}

/// Logits by the places of tokens.
#[derive(Deserialize)]
pub(crate) struct Logits {
    pub(crate) tokens: Vec<u32>,
    pub(crate) rows: BTreeMap<usize, Vec<f32>>,
}

/// A recording, and what is said in it.
#[derive(Deserialize)]
pub(crate) struct Recording {
    pub(crate) num_samples: usize,
    pub(crate) language: Option<String>,
    pub(crate) task: Option<String>,
    pub(crate) prompt: Vec<u32>,
    pub(crate) condition: bool,
    /// Beginning, end, tokens, and when each of these ends.
    pub(crate) segments: Vec<(f64, f64, Vec<u32>, Vec<f64>)>,
    pub(crate) first: First,
}

/// Of the first window.
#[derive(Deserialize)]
pub(crate) struct First {
    pub(crate) avg_logprob: f32,
    pub(crate) no_speech_prob: f32,
}

pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

/// All files in a folder, by name.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let name = |path: &Path| path.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    paths.map(|path| (name(&path), path)).collect()
}

pub(crate) fn model(name: &str) -> (Model, Golden) {
    let folder = folder(name);
    let model = open(&files(&folder)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let golden = std::fs::read(folder.join("golden.json")).expect("golden.json");
    let golden = serde_json::from_slice(&golden).expect("what the script writes");
    (model.unwrap_or_else(|| panic!("{name} is not seen to be a model of speech")), golden)
}

pub(crate) fn executor(model: &Model, precision: Precision, threads: usize) -> Executor {
    let options = SpeechOptions { threads, precision, packed: None };
    Executor::new(model, &options).expect("an executor")
}

/// One that says the likeliest and believes it.
pub(crate) fn transcriber(model: &Model, precision: Precision, condition: bool) -> Transcriber {
    let options = DecodingOptions {
        temperatures: vec![0.0],
        fallback: None,
        condition_on_previous: condition,
    };
    let executor = executor(model, precision, 2);
    Transcriber::new(executor, model.vocabulary.clone(), text_of(), options)
}

/// Tokens as letters.
pub(crate) fn text_of() -> TextOf {
    Arc::new(|tokens| tokens.iter().filter_map(|token| char::from_u32(*token + 32)).collect())
}

/// The whole of a recording: its segments, and the language.
pub(crate) fn transcribe(
    transcriber: &mut Transcriber,
    input: &SpeechInput,
) -> (Vec<Segment>, String) {
    let mut session = transcriber.begin(input).expect("it begins");
    let (mut segments, stop) = (Vec::new(), AtomicBool::new(false));
    loop {
        let step = transcriber.step(&mut session, &stop).expect("a step");
        segments.extend(step.segments);
        if step.is_last {
            return (segments, step.language);
        }
    }
}

/// Noise and a square wave, louder and softer by turns; as the script makes it.
pub(crate) fn sound(num_samples: usize) -> Vec<f32> {
    let mut state = 1_u64;
    let sample = |i: usize| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        let (noise, block) = ((state >> 16) as i64 % 2048 - 1024, i / 2000);
        let period = block * 7 % 50 + 10;
        let square = if i % period * 2 < period { 800 } else { -800 };
        let sum = noise * (block * 5 % 7) as i64 + square * (block * 3 % 5) as i64;
        sum as f32 / 32_768.0
    };
    (0..num_samples).map(sample).collect()
}

/// The largest difference between two rows; infinite where one is not a number.
pub(crate) fn off(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "lengths of rows");
    let worse = |worst: f32, x: f32| if x.is_nan() { f32::INFINITY } else { worst.max(x) };
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, worse)
}
