//! How far the settings that a user gets are from the mathematics as written, on real text.
//!
//! Quantised weights are multiplied with activations in 8 bits, keys and values are kept in 16:
//! logits are then no longer those of F32, here as in llama.cpp. So exact settings are held to
//! transformers (here and in `golden.rs`), and the others to exact settings by the distributions
//! they give, and to llama.cpp by its perplexity.

#![allow(clippy::print_stdout, reason = "the measured distances, for whoever runs it by hand")]

#[path = "support/distance.rs"]
mod distance;
#[path = "support/engine.rs"]
mod engine;
#[path = "support/golden.rs"]
mod golden;

use distance::{Compared, nll};
use engine::{engine, exact, forward, kv_in_8_bits, logits, smollm2, standard};
use engine_core::Engine;
use engine_llm::{
    LlmEngine,
    executors::cpu::CpuOptions,
    perplexity::{Perplexity, ScoredText},
};
use golden::{Distance, WikitextGolden};

/// Chunks whose distributions are compared: 1,020 positions.
const NUM_COMPARED: usize = 4;
/// Chunks whose perplexity is compared: 2,040 positions.
const NUM_SCORED: usize = 8;

/// Logits of the positions of a chunk that are scored.
fn scored_logits(engine: &mut LlmEngine, chunk: &[u32]) -> Vec<f32> {
    let (context, scored) = chunk.split_at(chunk.len() / 2);
    forward(engine, context, 0);
    logits(engine, &scored[..scored.len() - 1], context.len())
}

fn perplexity(golden: &WikitextGolden, options: CpuOptions) -> f64 {
    let mut engine = engine(smollm2(&golden.model_sha256), options);
    let text = ScoredText {
        tokens: &golden.tokens,
        context: golden.context,
        bos: None,
        max_chunks: NUM_SCORED,
    };
    Perplexity::of(&mut engine, &text, |_| ()).expect("it is scored").value()
}

fn check_perplexity(name: &str, got: f64, want: f64, tolerance: f64) {
    let off = got / want - 1.0;
    println!("{name}: {got:.4}, llama.cpp {want:.4}, {:+.3} %", 100.0 * off);
    assert!(off.abs() < tolerance, "{name}: {got} is {:+.3} % off {want}", 100.0 * off);
}

#[test]
fn distributions_on_real_text_are_close_to_exact_ones_and_those_are_transformers() {
    let golden = golden::wikitext();
    let mut exact = engine(smollm2(&golden.model_sha256), exact());
    // With keys and values in bytes we are further off than llama.cpp is with them in 16 bits: by
    // half on average, and one position in a thousand by several times.
    let settings = [(standard(), Slack::SAME), (kv_in_8_bits(), Slack::BYTES)];
    let mut settings = settings.map(|(options, slack)| {
        (slack, engine(smollm2(&golden.model_sha256), options), Compared::default())
    });
    let vocab_size = exact.limits().vocab_size as usize;
    let chunks = golden.tokens.chunks(golden.context).zip(&golden.transformers.nll);
    for (i, (chunk, want)) in chunks.take(NUM_COMPARED).enumerate() {
        let rows = scored_logits(&mut exact, chunk);
        let targets = &chunk[chunk.len() / 2 + 1..];
        let scored = rows.chunks_exact(vocab_size).zip(targets);
        let got: f64 = scored.map(|(row, target)| nll(row, *target)).sum();
        println!("chunk {i}: off by {:e}", got / want - 1.0);
        assert!((got / want - 1.0).abs() < 1e-6, "chunk {i}: {got}, by transformers {want}");
        for (_, engine, compared) in &mut settings {
            compared.add(&rows, &scored_logits(engine, chunk), vocab_size);
        }
    }
    for (slack, _, compared) in settings {
        check_distance(&compared.summary(), &golden.llama_cpp_from_transformers, slack);
    }
}

/// How many times as far off as llama.cpp: on average (of a square's root, half of what is over 1),
/// and at the worst position.
#[derive(Clone, Copy, Debug)]
struct Slack {
    mean: f64,
    max: f64,
}

impl Slack {
    /// About as far as llama.cpp is. Rounding errors of the same size fall differently in another
    /// program, and llama.cpp's distance was taken over all chunks.
    const SAME: Self = Self { mean: 1.25, max: 2.0 };
    const BYTES: Self = Self { mean: 1.5, max: 8.0 };
}

fn check_distance(got: &Distance, llama_cpp: &Distance, slack: Slack) {
    println!("{slack:?}: {got:?}, llama.cpp {llama_cpp:?}");
    let root = f64::midpoint(1.0, slack.mean);
    assert!(got.mean_kl < slack.mean * llama_cpp.mean_kl, "{got:?}");
    assert!(got.max_kl < slack.max * llama_cpp.max_kl, "{got:?}");
    assert!(got.same_top > llama_cpp.same_top - 0.01, "{got:?}");
    assert!(got.mean_relative_rms < root * llama_cpp.mean_relative_rms, "{got:?}");
    assert!(got.max_relative_rms < 2.0 * llama_cpp.max_relative_rms, "{got:?}");
}

#[test]
fn perplexity_on_real_text_is_llama_cpps() {
    let golden = golden::wikitext();
    let want = golden.llama_cpp.f16[NUM_SCORED - 1];
    check_perplexity("standard", perplexity(&golden, standard()), want, 0.005);
    check_perplexity("KV in 8 bits", perplexity(&golden, kv_in_8_bits()), want, 0.005);
}

#[test]
fn tiny_models_of_every_stored_format_are_close_under_standard_settings() {
    for name in golden::TINY {
        let (_, golden) = golden::tiny(name);
        for options in [standard(), kv_in_8_bits()] {
            let (kv, (model, _)) = (options.kv_dtype, golden::tiny(name));
            let mut engine = engine(model, options);
            let mut compared = Compared::default();
            let got = logits(&mut engine, &golden.prompt, 0);
            compared.add(&golden.logits, &got, golden.vocab_size);
            let off = compared.summary();
            println!("{name}, {kv:?}: {off:?}");
            assert!(off.mean_relative_rms < 0.03, "{name}, {kv:?}: {off:?}");
            // One position of 48 was seen to be further off than those of the other models.
            let most = if name == "gguf-k" { 0.1 } else { 0.05 };
            assert!(off.max_relative_rms < most, "{name}, {kv:?}: {off:?}");
        }
    }
}
