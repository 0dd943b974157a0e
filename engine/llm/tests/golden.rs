//! The executor under exact settings against transformers, on the same weights: logits within a
//! tolerance that rounding in another order explains, greedy text token for token.
//! `fidelity.rs` says how far the settings a user gets may be from these.

#[path = "support/distance.rs"]
mod distance;
#[path = "support/engine.rs"]
mod engine;
#[path = "support/golden.rs"]
mod golden;

use distance::{argmax, log_sum_exp, worst};
use engine::{engine, exact, logits, smollm2};
use engine_core::Engine;
use engine_llm::LlmEngine;

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

#[test]
fn tiny_models_answer_as_transformers_does() {
    for name in golden::TINY {
        let (model, golden) = golden::tiny(name);
        let mut engine = engine(model, exact());
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

#[test]
fn smollm2_answers_as_transformers_does_on_the_dequantised_weights() {
    let golden = golden::smollm2();
    let mut engine = engine(smollm2(&golden.sha256), exact());
    let vocab_size = engine.limits().vocab_size as usize;
    for prompt in &golden.prompts {
        let rows = logits(&mut engine, &prompt.tokens, 0);
        for top in &prompt.positions {
            let row = &rows[top.position * vocab_size..][..vocab_size];
            let off = worst(top.ids.iter().map(|id| row[*id as usize]), &top.logits);
            assert!(off < 1e-3, "{:?} at {}: off by {off}", prompt.text, top.position);
            let off = (log_sum_exp(row) - top.logsumexp).abs();
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
