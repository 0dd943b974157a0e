//! all-MiniLM-L6-v2 against sentence-transformers: the real weights, on texts of many kinds.

mod support;

use std::{path::PathBuf, sync::Arc};

use engine_core::{EncodeInput, Encoder, EncoderOutput};
use engine_encoder::{Model, Precision, open};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use support::{cosine, encoder, files, off, testdata};

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
    let fetched = "../../.agentbase/downloads/all-MiniLM-L6-v2";
    let folder = std::env::var_os("AGENTBASE_TEST_MINILM")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(fetched), PathBuf::from);
    assert!(folder.exists(), "{} is missing: `cargo xtask test` fetches it", folder.display());
    let weights = std::fs::read(folder.join("model.safetensors")).expect("it reads");
    let digest = Sha256::digest(weights);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, golden.sha256, "{} has another file", folder.display());
    let model = open(&files(&folder)).expect("the model opens");
    (model.expect("it is seen to be an encoder"), golden)
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
