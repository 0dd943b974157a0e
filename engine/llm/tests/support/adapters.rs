//! Reads the adapters that `tools/make_adapter_golden.py` wrote, and runs sequences with them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use engine_core::{Adapter, BlockId, BlockTable, Engine, SeqId, SeqWork, Want};
use engine_llm::{
    LlmEngine,
    adapters::{AdapterBase, Kept},
};
use serde::Deserialize;

/// What a model with an adapter must answer.
#[derive(Deserialize)]
pub(crate) struct AdapterGolden {
    /// The base's folder in `testdata`.
    pub(crate) base: String,
    /// Token ids.
    pub(crate) prompt: Vec<u32>,
    /// Columns of `logits`.
    pub(crate) vocab_size: usize,
    /// One row for each position of the prompt.
    #[serde(skip)]
    pub(crate) logits: Vec<f32>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/adapters")
}

/// Names of all adapters.
pub(crate) fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("testdata/adapters");
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<_> = entries.map(|entry| name(entry.expect("an entry"))).collect();
    names.sort();
    names
}

/// An adapter's files, by name.
pub(crate) fn files(name: &str) -> BTreeMap<String, PathBuf> {
    let of = |file: &str| (file.to_owned(), folder().join(name).join(file));
    [of("adapter_config.json"), of("adapter_model.safetensors")].into()
}

/// What it must answer.
pub(crate) fn golden(name: &str) -> AdapterGolden {
    let folder = folder().join(name);
    let json = std::fs::read(folder.join("golden.json")).expect("golden.json");
    let mut golden: AdapterGolden = serde_json::from_slice(&json).expect("golden.json");
    let logits = std::fs::read(folder.join("logits.f32")).expect("logits.f32");
    golden.logits = logits.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
    assert_eq!(golden.logits.len(), golden.prompt.len() * golden.vocab_size);
    golden
}

/// Opens and reads an adapter.
pub(crate) fn load(base: &AdapterBase, name: &str, kept: Kept) -> Adapter {
    let files = base.open(&files(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    Adapter::new(name, Arc::new(files.load(kept).expect("there is memory")))
}

/// Tokens of sequence `seq`, whose blocks no other sequence below 8 has.
pub(crate) fn work(
    engine: &LlmEngine,
    seq: u64,
    adapter: Option<&Adapter>,
    (tokens, cached): (&[u32], usize),
) -> SeqWork {
    let limits = engine.limits();
    let num_columns = ((cached + tokens.len()) as u32).div_ceil(limits.block_size);
    let num_groups = limits.groups.count();
    let block = |i| BlockId(seq as u32 * 8 * num_groups + i);
    let is_there = block(8 * num_groups).0 <= limits.num_blocks;
    assert!(num_columns <= 8 && is_there, "blocks of its own");
    SeqWork {
        seq: SeqId(seq),
        adapter: adapter.cloned(),
        input: tokens.to_vec(),
        insets: Vec::new(),
        num_drafts: 0,
        num_cached_tokens: cached as u32,
        block_table: BlockTable((0..num_columns * num_groups).map(block).collect()),
        want: Want::Nothing,
        score: None,
    }
}
