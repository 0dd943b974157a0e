//! Decoders as embedders against transformers and sentence-transformers, on the same weights.

mod support;

use engine_core::{Encoder, EncoderOutput};
use engine_encoder::{Precision, open_decoder};
use support::{DECODERS, cosine, decoder, embedder, files, off, testdata};

#[test]
fn exact_rows_are_those_of_the_reference_and_fast_ones_are_close() {
    for name in DECODERS {
        let (model, golden) = decoder(name);
        let EncoderOutput::Embedding { dim: 32, normalized: true, .. } = model.meaning else {
            panic!("{name}: {:?}", model.meaning);
        };
        let inputs = golden.inputs();
        let exact = embedder(name, Precision::Exact, 2).encode(&inputs).expect("rows");
        let fast = embedder(name, Precision::Fast, 2).encode(&inputs).expect("rows");
        for (i, want) in golden.rows.iter().enumerate() {
            let off = off(&exact[i], want);
            assert!(off < 1e-4, "{name}: input {i} is off by {off}");
            let cosine = cosine(&fast[i], want);
            assert!(cosine >= 0.999, "{name}: input {i} has cosine {cosine}");
        }
    }
}

#[test]
fn a_row_is_the_same_alone_and_in_a_batch() {
    for name in DECODERS {
        let golden = decoder(name).1;
        let mut inputs = golden.inputs();
        for precision in [Precision::Exact, Precision::Fast] {
            let mut embedder = embedder(name, precision, 2);
            let rows = embedder.encode(&inputs).expect("rows");
            for (i, input) in inputs.iter().enumerate() {
                let alone = embedder.encode(std::slice::from_ref(input)).expect("a row");
                assert_eq!(alone, rows[i..=i], "{name}: input {i}, {precision:?}");
            }
        }
        // More than there are blocks of keys for.
        let many = vec![inputs.swap_remove(0); 300];
        let rows = embedder(name, Precision::Exact, 1).encode(&many).expect("rows");
        assert!(rows.len() == 300 && rows.iter().all(|row| off(row, &golden.rows[0]) < 1e-4));
    }
}

#[test]
fn a_decoder_that_sees_both_ways_is_refused() {
    let mut files = files(&testdata().join("qwen3"));
    let config = std::fs::read_to_string(&files["config.json"]).expect("config.json");
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("config.json");
    std::fs::write(&path, config.replacen('{', r#"{"is_causal": false,"#, 1)).expect("it writes");
    files.insert("config.json".into(), path);
    let error = open_decoder(&files).expect_err("refused").to_string();
    assert!(error.contains("is_causal") && error.contains("config.json"), "{error}");
}
