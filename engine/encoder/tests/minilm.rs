//! all-MiniLM-L6-v2 against sentence-transformers: the real weights, on texts of many kinds.

mod support;

use std::sync::Arc;

use engine_core::{EncodeInput, Encoder, EncoderOutput};
use engine_encoder::{Model, Precision};
use serde::Deserialize;
use support::{cosine, encoder, fetched, off, testdata};

#[derive(Deserialize)]
struct Golden {
    /// The weights' digest, in hexadecimal.
    sha256: String,
    texts: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    tokens: Vec<u32>,
    row: Vec<f32>,
}

/// The model in the folder that `cargo xtask test` fetches, or in the one that the environment
/// names.
fn minilm() -> (Model, Golden) {
    let golden = std::fs::read(testdata().join("minilm.json")).expect("minilm.json");
    let golden: Golden = serde_json::from_slice(&golden).expect("what the script writes");
    (fetched("AGENTBASE_TEST_MINILM", "all-MiniLM-L6-v2", "", &golden.sha256), golden)
}

#[test]
fn embeddings_are_those_of_sentence_transformers() {
    let (model, golden) = minilm();
    let EncoderOutput::Embedding { dim: 384, normalized: true, .. } = model.meaning else {
        panic!("{:?}", model.meaning);
    };
    // sentence-transformers cuts inputs to this.
    assert_eq!(model.spec.stack.max_input_len, 256);
    let inputs: Vec<_> = (golden.texts.iter())
        .map(|text| Arc::new(EncodeInput { tokens: text.tokens.clone(), ..Default::default() }))
        .collect();
    for (precision, most, least) in
        [(Precision::Exact, 2e-6, 0.999_999_9), (Precision::Fast, 2e-3, 0.9999)]
    {
        // One after another: a batch of all is longer than an encoder of tests takes.
        let mut encoder = encoder(&model, precision, 2);
        for (input, text) in inputs.iter().zip(&golden.texts) {
            let rows = encoder.encode(std::slice::from_ref(input)).expect("a row");
            let (off, cosine) = (off(&rows[0], &text.row), cosine(&rows[0], &text.row));
            assert!(off < most && cosine >= least, "{:?}: {off} {cosine}", text.text);
        }
    }
}
