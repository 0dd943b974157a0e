//! Every family against transformers, on the same weights: from a Hugging Face folder, and from
//! the GGUF file that llama.cpp's own converter makes of it.

#[path = "support/distance.rs"]
mod distance;
#[path = "support/engine.rs"]
mod engine;
#[path = "support/golden.rs"]
mod golden;

use distance::{argmax, worst};
use engine::{engine, exact, kv_in_8_bits, logits, standard};
use engine_core::Engine;
use engine_llm::{executors::cpu::CpuOptions, weights::Model};
use golden::TinyGolden;

/// Exact settings: logits to 1e-4, in chunks too, and greedy tokens through the cache.
fn check(model: Model, golden: &TinyGolden) -> Result<(), String> {
    let mut engine = engine(model, exact());
    let whole = logits(&mut engine, &golden.prompt, 0);
    assert_eq!(whole.len(), golden.logits.len());
    let off = worst(whole.iter().copied(), &golden.logits);
    if off >= 1e-4 {
        return Err(format!("logits are off by {off}"));
    }
    let mut in_chunks = Vec::new();
    for (i, chunk) in golden.prompt.chunks(7).enumerate() {
        in_chunks.extend(logits(&mut engine, chunk, i * 7));
    }
    if in_chunks != whole {
        return Err("chunks change the result".into());
    }
    if !golden.margins.iter().all(|margin| *margin > 50.0 * off) {
        return Err("a near tie".into());
    }
    let vocab_size = engine.limits().vocab_size as usize;
    let mut row = whole;
    for (i, want) in golden.greedy.iter().enumerate() {
        let token = argmax(&row[row.len() - vocab_size..]);
        if token != *want {
            return Err(format!("greedy token {i} is {token}, not {want}"));
        }
        row = logits(&mut engine, &[token], golden.prompt.len() + i);
    }
    Ok(())
}

fn none_failed(failed: Vec<String>) {
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn hugging_face_folders_answer_as_transformers_does() {
    let mut failed = Vec::new();
    for name in golden::families() {
        let (model, golden) = golden::family(&name);
        failed.extend(check(model, &golden).err().map(|what| format!("{name}: {what}")));
    }
    none_failed(failed);
}

#[test]
fn gguf_files_of_llama_cpp_answer_as_transformers_does() {
    let (mut num_files, mut failed) = (0, Vec::new());
    for name in golden::families() {
        if let Some((model, golden)) = golden::family_gguf(&name) {
            failed.extend(check(model, &golden).err().map(|what| format!("{name}: {what}")));
            num_files += 1;
        }
    }
    none_failed(failed);
    assert_eq!(num_files, 23, "GGUF files");
}

/// The most that users' settings may be off by, as a share of all logits: with the cache in
/// bfloat16, and in bytes. Three models were seen to be further off than all others; one has a
/// position where two experts of two layers are nearly tied, and rounding takes the other.
fn most(name: &str) -> [f32; 2] {
    match name {
        "llama4-multimodal" => [0.03, 0.06],
        "deepseek2" | "deepseek3" | "gemma3" => [0.08, 0.12],
        _ => [0.02, 0.03],
    }
}

/// How far users' settings are from the reference, as a share of all logits.
fn share(model: Model, golden: &TinyGolden, options: CpuOptions) -> f32 {
    let got = logits(&mut engine(model, options), &golden.prompt, 0);
    let rms = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
    let off = rms(&mut got.iter().zip(&golden.logits).map(|(a, b)| a - b));
    off / rms(&mut golden.logits.iter().copied())
}

#[test]
fn fast_settings_stay_close_to_the_exact_ones() {
    let mut failed = Vec::new();
    for name in golden::families() {
        for (options, most) in [standard(), kv_in_8_bits()].into_iter().zip(most(&name)) {
            let files = [Some(golden::family(&name)), golden::family_gguf(&name)];
            for (model, golden) in files.into_iter().flatten() {
                let kind = model.architecture.clone();
                let share = share(model, &golden, options.clone());
                if share.is_nan() || share >= most {
                    failed.push(format!("{name}, {kind}: off by {share} of all logits"));
                }
            }
        }
    }
    none_failed(failed);
}
