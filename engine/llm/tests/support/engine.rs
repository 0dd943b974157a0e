//! The executor under the settings that tests hold to different tolerances, and one sequence run
//! through it.
//!
//! Invariant: [`exact`] computes what the weights say, in F32 throughout; [`standard`] and
//! [`kv_in_8_bits`] are what users get, by their processor; they differ in nothing but the number
//! formats of activations, keys and values.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};

use engine_core::{BlockId, BlockTable, Engine, SeqId, SeqWork, Step, Want};
use engine_llm::{
    LlmEngine,
    executors::cpu::{CpuExecutor, CpuOptions, KvDtype, Precision},
    weights::{self, Model},
};
use sha2::{Digest, Sha256};

/// The mathematics as written: activations, keys and values in F32.
pub(crate) fn exact() -> CpuOptions {
    CpuOptions { kv_dtype: KvDtype::F32, precision: Precision::Exact, ..standard() }
}

/// What a user gets who sets nothing, where the cache is in bfloat16.
pub(crate) fn standard() -> CpuOptions {
    CpuOptions {
        threads: 2,
        kv_cache_bytes: 64 << 20,
        kv_dtype: KvDtype::default(),
        max_step_tokens: 256,
        precision: Precision::Fast,
        max_adapter_rank: engine_llm::adapters::MAX_RANK,
        packed: None,
    }
}

/// What a user gets on AVX2: keys and values in 8 bits.
pub(crate) fn kv_in_8_bits() -> CpuOptions {
    CpuOptions { kv_dtype: KvDtype::Int8, ..standard() }
}

pub(crate) fn engine(model: Model, options: CpuOptions) -> LlmEngine {
    let (vocab_size, max_model_len) = (model.spec.vocab_size, model.spec.max_model_len);
    let executor = CpuExecutor::new(model.spec, &model.weights, options).expect("it loads");
    LlmEngine::new(Box::new(executor), vocab_size, max_model_len, 4)
}

/// Computes `tokens` at positions `cached ..`, whose predecessors are in the cache. Blocks are
/// taken from the far end of the cache backwards, so that tables are no identity.
pub(crate) fn forward(engine: &mut LlmEngine, tokens: &[u32], cached: usize) {
    let limits = engine.limits();
    let num_columns = ((cached + tokens.len()) as u32).div_ceil(limits.block_size);
    let num_blocks = num_columns * limits.groups.count();
    let last = limits.num_blocks - 1;
    let work = SeqWork {
        seq: SeqId(0),
        adapter: None,
        input: tokens.to_vec(),
        insets: Vec::new(),
        num_drafts: 0,
        num_cached_tokens: cached as u32,
        block_table: BlockTable((0..num_blocks).map(|i| BlockId(last - i)).collect()),
        want: Want::Nothing,
        score: None,
    };
    engine.execute(&Step { step_idx: 0, work: vec![work] }).expect("the step runs");
}

/// [`forward`], and the logits of each of `tokens`, row-major.
pub(crate) fn logits(engine: &mut LlmEngine, tokens: &[u32], cached: usize) -> Vec<f32> {
    forward(engine, tokens, cached);
    engine.logits_of(0).expect("there are logits")
}

/// The model in the file that `cargo xtask test` fetches, or in the one that the environment names.
pub(crate) fn smollm2(sha256: &str) -> Model {
    let fetched = "../../.agentbase/downloads/SmolLM2-135M-Instruct.Q4_1.gguf";
    let path = std::env::var_os("AGENTBASE_TEST_GGUF")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(fetched), PathBuf::from);
    assert!(path.exists(), "{} is missing: `cargo xtask test` fetches it", path.display());
    let digest = Sha256::digest(std::fs::read(&path).expect("it reads"));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, sha256, "{} is another file", path.display());
    weights::open(&[("model.gguf".to_owned(), path)].into()).expect("the model opens")
}
