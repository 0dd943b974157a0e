//! Every family against transformers and sentence-transformers, on the same weights.

mod support;

use std::sync::Arc;

use engine_core::{Activation, EncodeInput, Encoder, EncoderOutput};
use engine_encoder::Precision;
use support::{cosine, encoder, model, names, off};

fn none_failed(failed: Vec<String>) {
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn exact_rows_are_those_of_the_reference() {
    let mut failed = Vec::new();
    for name in names() {
        let (model, golden) = model(&name);
        let mut encoder = encoder(&model, Precision::Exact, 2);
        let rows = encoder.encode(&golden.inputs()).expect("rows");
        assert_eq!(rows.len(), golden.rows.len(), "{name}");
        for (i, (row, want)) in rows.iter().zip(&golden.rows).enumerate() {
            let off = off(row, want);
            if off >= 1e-4 {
                failed.push(format!("{name}: input {i} is off by {off}"));
            }
        }
    }
    none_failed(failed);
}

#[test]
fn fast_rows_stay_close_to_the_reference() {
    let mut failed = Vec::new();
    for name in names() {
        let (model, golden) = model(&name);
        let mut encoder = encoder(&model, Precision::Fast, 2);
        let rows = encoder.encode(&golden.inputs()).expect("rows");
        for (i, (row, want)) in rows.iter().zip(&golden.rows).enumerate() {
            // Logits of one label have no angle; random ones are of the size of 1.
            let (off, cosine) = (off(row, want), cosine(row, want));
            if off.is_nan() || off >= 0.15 || (row.len() > 3 && cosine < 0.9995) {
                failed.push(format!("{name}: input {i} is off by {off}, cosine {cosine}"));
            }
        }
    }
    none_failed(failed);
}

#[test]
fn a_row_is_the_same_alone_and_in_any_batch_and_on_any_number_of_threads() {
    for name in names() {
        let (model, golden) = model(&name);
        for precision in [Precision::Exact, Precision::Fast] {
            let mut inputs = golden.inputs();
            let mut together = encoder(&model, precision, 2);
            let rows = together.encode(&inputs).expect("rows");
            let mut one_by_one = encoder(&model, precision, 1);
            for (i, input) in inputs.iter().enumerate() {
                let alone = one_by_one.encode(std::slice::from_ref(input)).expect("a row");
                assert_eq!(alone, rows[i..=i], "{name}: input {i} alone, {precision:?}");
            }
            inputs.reverse();
            let mut reversed = together.encode(&inputs).expect("rows");
            reversed.reverse();
            assert_eq!(reversed, rows, "{name}: the other way round, {precision:?}");
        }
    }
}

#[test]
fn more_short_inputs_than_there_are_blocks_go_in_turn() {
    let (model, golden) = model("bert");
    let mut encoder = encoder(&model, Precision::Exact, 2);
    let input = golden.inputs().swap_remove(1);
    let many = vec![input; 256];
    let rows = encoder.encode(&many).expect("rows");
    assert_eq!(rows.len(), 256);
    assert!(rows.iter().all(|row| *row == rows[0]));
    assert!(off(&rows[0], &golden.rows[1]) < 1e-4);
}

#[test]
fn what_rows_mean_is_what_the_files_say() {
    let of = |name: &str| model(name).0;
    let normalized =
        |normalized, dim| EncoderOutput::Embedding { dim, normalized, truncatable: None };
    assert_eq!(of("bert").meaning, normalized(true, 32));
    assert_eq!(of("bert-poolings").meaning, normalized(false, 20));
    assert_eq!(of("roberta").meaning, normalized(true, 40));
    let logits = |labels: &[&str], activation| EncoderOutput::Logits {
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        activation,
    };
    assert_eq!(of("bert-reranker").meaning, logits(&["LABEL_0"], Activation::Sigmoid));
    assert_eq!(of("bert-classifier").meaning, logits(&["good", "bad", "odd"], Activation::Softmax));
    assert_eq!(of("modernbert-classifier").meaning, logits(&["a", "b", "c"], Activation::Sigmoid));
    assert!(of("bert").include_prompt && !of("bert-poolings").include_prompt);
    // The padding token's row and those before it are no positions.
    assert_eq!(
        (of("roberta").spec.stack.max_input_len, of("bert").spec.stack.max_input_len),
        (256, 256)
    );
}

#[test]
fn inputs_that_cannot_be_computed_are_refused_and_the_encoder_goes_on() {
    let (model, golden) = model("bert");
    let mut encoder = encoder(&model, Precision::Fast, 1);
    let fine = golden.inputs().swap_remove(3);
    let row = encoder.encode(std::slice::from_ref(&fine)).expect("a row");
    let input = |tokens: &[u32], type_ids: &[u8], not_pooled| EncodeInput {
        tokens: tokens.into(),
        type_ids: type_ids.into(),
        not_pooled,
        tiles: None,
    };
    for (bad, what) in [
        (input(&[], &[], 0), "no tokens"),
        (input(&[5; 257], &[], 0), "257 tokens"),
        (input(&[5, 200], &[], 0), "token 200"),
        (input(&[5, u32::MAX], &[], 0), "token 4294967295"),
        (input(&[5, 6], &[0], 0), "1 token types for 2"),
        (input(&[5, 6], &[0, 2], 0), "token type 2"),
        (input(&[5, 6], &[], 2), "not pooled"),
    ] {
        let error = encoder.encode(&[fine.clone(), Arc::new(bad)]).expect_err("refused");
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert!(error.to_string().contains("input 1"), "{error}");
    }
    let many = vec![golden.inputs().swap_remove(7); 3];
    let error = encoder.encode(&many).expect_err("refused").to_string();
    assert!(error.contains("600 tokens"), "{error}");
    assert_eq!(encoder.encode(&[fine]).expect("a row"), row);
    assert!(encoder.encode(&[]).expect("nothing").is_empty());
}
