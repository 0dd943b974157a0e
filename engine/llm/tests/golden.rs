//! The executor against transformers, on the same weights: logits within a tolerance that
//! rounding in another order explains, greedy text token for token.

#[path = "support/golden.rs"]
mod golden;

use std::path::{Path, PathBuf};

use engine_core::{BlockId, BlockTable, Engine, SeqId, SeqWork, Step, Want};
use engine_llm::{
    LlmEngine,
    executors::cpu::{CpuExecutor, CpuOptions, KvDtype, Precision},
    weights::{self, Model},
};
use sha2::{Digest, Sha256};

fn engine(model: Model) -> LlmEngine {
    let (vocab_size, max_model_len) = (model.spec.vocab_size, model.spec.max_model_len);
    let options = CpuOptions {
        threads: 2,
        kv_cache_bytes: 64 << 20,
        kv_dtype: KvDtype::F32,
        max_step_tokens: 256,
        precision: Precision::Exact,
        packed: None,
    };
    let executor = CpuExecutor::new(model.spec, &model.weights, options).expect("it loads");
    LlmEngine::new(Box::new(executor), vocab_size, max_model_len, 4)
}

/// Logits of `tokens` at positions `cached ..`, whose predecessors are in the cache. Blocks are
/// taken from the far end of the cache backwards, so that tables are no identity.
fn logits(engine: &mut LlmEngine, tokens: &[u32], cached: usize) -> Vec<f32> {
    let limits = engine.limits();
    let num_blocks = ((cached + tokens.len()) as u32).div_ceil(limits.block_size);
    let last = limits.num_blocks - 1;
    let work = SeqWork {
        seq: SeqId(0),
        input: tokens.to_vec(),
        num_cached_tokens: cached as u32,
        block_table: BlockTable((0..num_blocks).map(|i| BlockId(last - i)).collect()),
        want: Want::Nothing,
        score: None,
    };
    engine.execute(&Step { step_idx: 0, work: vec![work] }).expect("the step runs");
    engine.logits_of(0).expect("there are logits")
}

fn argmax(row: &[f32]) -> u32 {
    let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.expect("a vocabulary").0 as u32
}

/// Continues `prompt` greedily, one token a step through the cache, and compares as it goes.
fn check_greedy(name: &str, engine: &mut LlmEngine, prompt: &[u32], want: &[u32]) {
    let mut row = logits(engine, prompt, 0);
    let vocab_size = engine.limits().vocab_size as usize;
    for (i, want) in want.iter().enumerate() {
        let token = argmax(&row[row.len() - vocab_size..]);
        assert_eq!(token, *want, "{name}: greedy token {i}");
        row = logits(engine, &[token], prompt.len() + i);
    }
}

fn worst(got: impl Iterator<Item = f32>, want: &[f32]) -> f32 {
    got.zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max)
}

#[test]
fn tiny_models_answer_as_transformers_does() {
    for name in golden::TINY {
        let (model, golden) = golden::tiny(name);
        let mut engine = engine(model);
        let whole = logits(&mut engine, &golden.prompt, 0);
        assert_eq!(whole.len(), golden.logits.len(), "{name}");
        let off = worst(whole.iter().copied(), &golden.logits);
        assert!(off < 5e-5, "{name}: logits are off by {off}");
        let mut in_chunks = Vec::new();
        for (i, chunk) in golden.prompt.chunks(7).enumerate() {
            in_chunks.extend(logits(&mut engine, chunk, i * 7));
        }
        assert_eq!(in_chunks, whole, "{name}: chunks change the result");
        assert!(golden.margins.iter().all(|margin| *margin > 100.0 * off), "{name}: a near tie");
        check_greedy(name, &mut engine, &golden.prompt, &golden.greedy);
    }
}

/// The file that `cargo xtask test` fetches, or the one that the environment names.
fn smollm2_gguf() -> PathBuf {
    let fetched = "../../.agentbase/downloads/SmolLM2-135M-Instruct.Q4_1.gguf";
    let path = std::env::var_os("AGENTBASE_TEST_GGUF")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(fetched), PathBuf::from);
    assert!(path.exists(), "{} is missing: `cargo xtask test` fetches it", path.display());
    path
}

#[test]
fn smollm2_answers_as_transformers_does_on_the_dequantised_weights() {
    let golden = golden::smollm2();
    let path = smollm2_gguf();
    let digest = Sha256::digest(std::fs::read(&path).expect("it reads"));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, golden.sha256, "{} is another file", path.display());
    let files = [("model.gguf".to_owned(), path)].into();
    let mut engine = engine(weights::open(&files).expect("the model opens"));
    let vocab_size = engine.limits().vocab_size as usize;
    for prompt in &golden.prompts {
        let rows = logits(&mut engine, &prompt.tokens, 0);
        for top in &prompt.positions {
            let row = &rows[top.position * vocab_size..][..vocab_size];
            let off = worst(top.ids.iter().map(|id| row[*id as usize]), &top.logits);
            assert!(off < 1e-3, "{:?} at {}: off by {off}", prompt.text, top.position);
            let max = f64::from(row.iter().copied().fold(f32::MIN, f32::max));
            let sum: f64 = row.iter().map(|x| (f64::from(*x) - max).exp()).sum();
            let off = (max + sum.ln() - top.logsumexp).abs();
            assert!(off < 1e-3, "{:?} at {}: sum off by {off}", prompt.text, top.position);
        }
        assert!(
            prompt.margins.iter().all(|margin| *margin > 2e-3),
            "{:?}: a near tie",
            prompt.text
        );
        check_greedy(&prompt.text, &mut engine, &prompt.tokens, &prompt.greedy);
    }
}
