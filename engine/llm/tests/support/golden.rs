//! Reads what the scripts in `tools` wrote: models and what they must answer.
//!
//! Invariant: nothing here runs a model.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{collections::BTreeMap, path::PathBuf};

use engine_llm::weights::{self, Model};
use serde::Deserialize;

/// Names of the models under `testdata/tiny`.
pub(crate) const TINY: [&str; 8] = [
    "llama",
    "llama3",
    "llama-bias",
    "mistral",
    "gguf",
    "gguf-formats",
    "gguf-k",
    "gguf-k-experts",
];

/// A tiny random model's answers.
#[derive(Deserialize)]
pub(crate) struct TinyGolden {
    /// 48 token ids; 16 for a quantised folder.
    pub(crate) prompt: Vec<u32>,
    /// The 24 tokens (8) that greedy choice appends to the prompt, past any end of sequence.
    pub(crate) greedy: Vec<u32>,
    /// Distance of the best from the second best logit at each of them; at least 0.01.
    pub(crate) margins: Vec<f32>,
    /// Columns of `logits`.
    pub(crate) vocab_size: usize,
    /// One row for each position of the prompt.
    #[serde(skip)]
    pub(crate) logits: Vec<f32>,
}

/// SmolLM2-135M-Instruct's answers; the weights are not in the repository.
#[derive(Deserialize)]
pub(crate) struct SmolGolden {
    /// The weights' digest, in hexadecimal.
    pub(crate) sha256: String,
    /// What was asked.
    pub(crate) prompts: Vec<SmolPrompt>,
}

/// One prompt and its answers.
#[derive(Deserialize)]
pub(crate) struct SmolPrompt {
    /// As text, special tokens spelled out.
    pub(crate) text: String,
    /// As token ids.
    pub(crate) tokens: Vec<u32>,
    /// Logits at some positions, the last among them.
    pub(crate) positions: Vec<TopLogits>,
    /// The 64 tokens that greedy choice appends, past any end of sequence.
    pub(crate) greedy: Vec<u32>,
    /// Distance of the best from the second best logit at each of them.
    pub(crate) margins: Vec<f32>,
}

/// The 32 highest logits at a position of the prompt.
#[derive(Deserialize)]
pub(crate) struct TopLogits {
    /// Index into the prompt's tokens.
    pub(crate) position: usize,
    /// Logarithm of the sum of exponentials of all logits.
    pub(crate) logsumexp: f64,
    /// Token ids, best first.
    pub(crate) ids: Vec<u32>,
    /// Their logits.
    pub(crate) logits: Vec<f32>,
}

/// What the excerpt of WikiText-2 is worth to others.
#[derive(Deserialize)]
pub(crate) struct WikitextGolden {
    /// SmolLM2-135M-Instruct's digest, in hexadecimal.
    pub(crate) model_sha256: String,
    /// Tokens per chunk.
    pub(crate) context: usize,
    /// The ids of all whole chunks, one after another.
    pub(crate) tokens: Vec<u32>,
    /// In F32, on the dequantised weights.
    pub(crate) transformers: TransformersGolden,
    /// On the file as it is.
    pub(crate) llama_cpp: LlamaCppGolden,
    /// How far the second is from the first.
    pub(crate) llama_cpp_from_transformers: Distance,
}

/// transformers on the excerpt.
#[derive(Deserialize)]
pub(crate) struct TransformersGolden {
    /// For each chunk, the sum of negative log-likelihoods of its second half.
    pub(crate) nll: Vec<f64>,
}

/// llama-perplexity on the excerpt.
#[derive(Deserialize)]
pub(crate) struct LlamaCppGolden {
    /// The perplexity after each chunk, with its defaults.
    pub(crate) f16: Vec<f64>,
}

/// How far next-token distributions are from a reference's, over positions.
#[derive(Debug, Deserialize)]
pub(crate) struct Distance {
    /// Kullback-Leibler divergence from the reference, in nats.
    pub(crate) mean_kl: f64,
    /// The worst position's.
    pub(crate) max_kl: f64,
    /// Share of positions with the same most likely token.
    pub(crate) same_top: f64,
    /// Root mean square of the logits' differences over that of the reference's logits, both
    /// around their mean.
    pub(crate) mean_relative_rms: f64,
    /// The worst position's.
    pub(crate) max_relative_rms: f64,
}

fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Opens a tiny model and reads its answers.
pub(crate) fn tiny(name: &str) -> (Model, TinyGolden) {
    read_model(testdata().join("tiny").join(name), |_| true)
}

/// Names of the models under `testdata/families`.
pub(crate) fn families() -> Vec<String> {
    names("families")
}

/// Names of those under `testdata/quantised`.
pub(crate) fn quantised_names() -> Vec<String> {
    names("quantised")
}

/// What `config.json` of one of these says.
pub(crate) fn quantised_config(name: &str) -> serde_json::Value {
    let json = read(testdata().join("quantised").join(name).join("config.json"));
    serde_json::from_slice(&json).expect("config.json")
}

fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(testdata().join(folder)).expect("a folder of testdata");
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<_> = entries.map(|entry| name(entry.expect("an entry"))).collect();
    names.sort();
    names
}

/// Opens a family's Hugging Face folder and reads its answers.
pub(crate) fn family(name: &str) -> (Model, TinyGolden) {
    read_model(testdata().join("families").join(name), |file| !file.ends_with(".gguf"))
}

/// The same from its GGUF file, if there is one.
pub(crate) fn family_gguf(name: &str) -> Option<(Model, TinyGolden)> {
    let folder = testdata().join("families").join(name);
    let there = folder.join("model.gguf").exists();
    there.then(|| read_model(folder, |file| file.ends_with(".gguf")))
}

/// The same for a quantised folder, with another's tokenizer.
pub(crate) fn quantised(name: &str) -> (Model, TinyGolden) {
    read_model(testdata().join("quantised").join(name), |_| true)
}

fn read_model(folder: PathBuf, takes: impl Fn(&str) -> bool) -> (Model, TinyGolden) {
    let mut files: BTreeMap<_, _> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .filter(|(name, _)| takes(name))
        .collect();
    let tokenizer = "tokenizer.json";
    files.entry(tokenizer.into()).or_insert_with(|| testdata().join("tiny/llama").join(tokenizer));
    let model =
        weights::open(&files).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let json = read(folder.join("golden.json"));
    let mut golden: TinyGolden = serde_json::from_slice(&json).expect("golden.json");
    let logits = read(folder.join("logits.f32"));
    golden.logits = logits.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
    assert_eq!(golden.logits.len(), golden.prompt.len() * golden.vocab_size);
    (model, golden)
}

/// Reads the answers of SmolLM2-135M-Instruct.
pub(crate) fn smollm2() -> SmolGolden {
    let json = read(testdata().join("smollm2/golden.json"));
    serde_json::from_slice(&json).expect("golden.json")
}

/// Reads what the excerpt of WikiText-2 is worth.
pub(crate) fn wikitext() -> WikitextGolden {
    let json = read(testdata().join("wikitext/golden.json"));
    serde_json::from_slice(&json).expect("golden.json")
}
