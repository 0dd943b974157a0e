//! Quantised Hugging Face folders (by `tools/make_quantised_golden.py`) against transformers on the
//! weights that their publishers' formulas give, and in how many bits they are kept.

#[path = "support/distance.rs"]
mod distance;
#[path = "support/engine.rs"]
mod engine;
#[path = "support/golden.rs"]
mod golden;

use distance::argmax;
use engine::{engine, exact, logits, standard};
use kernels::quant::DType;

/// Folders, and what their feed-forward matrices become.
const FOLDERS: [(&str, DType); 10] = [
    ("awq", DType::Q5_0),
    ("gptq-4", DType::Q4_0),
    ("gptq-4-shuffled", DType::F32),
    ("gptq-8", DType::Q8_0),
    ("fp8-blocks", DType::F8Scaled),
    ("fp8-scaled", DType::F8Scaled),
    ("int8", DType::Q8_0),
    ("int4", DType::Q5_0),
    ("mxfp4", DType::MXFP4),
    ("gpt-oss-mxfp4", DType::MXFP4),
];

#[test]
fn every_quantised_folder_is_compared() {
    let mut compared = FOLDERS.map(|(name, _)| name);
    compared.sort_unstable();
    assert_eq!(golden::quantised_names(), compared);
}

#[test]
fn quantised_folders_answer_as_their_dequantised_weights_do() {
    for (name, dtype) in FOLDERS {
        let (model, golden) = golden::quantised(name);
        for role in ["gate", "up", "down"] {
            // Of a mixture, the first expert's.
            let expert = if model.spec.experts.is_some() { ".0" } else { "" };
            let tensor = model.weights.get(&format!("blk.0.ffn_{role}{expert}.weight"));
            assert_eq!(tensor.expect("the matrix").dtype(), dtype, "{name}: {role}");
        }
        let mut engine = engine(model, exact());
        let got = logits(&mut engine, &golden.prompt, 0);
        let off = worst(&got, &golden.logits);
        assert!(off < 5e-5, "{name}: logits are off by {off}");
        let mut row = got[got.len() - golden.vocab_size..].to_vec();
        for (i, (want, margin)) in golden.greedy.iter().zip(&golden.margins).enumerate() {
            assert!(*margin > 100.0 * off, "{name}: a near tie");
            assert_eq!(argmax(&row), *want, "{name}: greedy token {i}");
            row = logits(&mut engine, &[*want], golden.prompt.len() + i);
        }
    }
}

/// Whole numbers stay whole numbers when packed, so what a user gets is near.
#[test]
fn what_a_user_gets_is_near() {
    for (name, _) in FOLDERS {
        let (model, golden) = golden::quantised(name);
        let got = logits(&mut engine(model, standard()), &golden.prompt, 0);
        let off = worst(&got, &golden.logits);
        let most = golden.logits.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
        assert!(off < 0.05 * most, "{name}: {off} of {most}");
    }
}

fn worst(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max)
}
