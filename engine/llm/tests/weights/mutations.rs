//! Whatever happens to a right file, opening answers: no panic, and no memory for what a header
//! merely claims (a test process that asked for it would be killed).

use proptest::prelude::*;

use crate::{gguf_writer::Gguf, hugging_face_lies::Folder, open, testdata};

/// Folders of `testdata/quantised`.
const QUANTISED: [&str; 6] =
    ["awq", "gptq-4-shuffled", "fp8-blocks", "fp8-scaled", "int4", "mxfp4"];

/// One damage: at a place (as a share of the length), this byte or a cut.
#[derive(Clone, Debug)]
enum Damage {
    Byte(u8),
    Word(u64),
    Cut,
    Repeat,
}

fn damages() -> impl Strategy<Value = Vec<(f64, Damage)>> {
    let lengths = [0, 1, 255, 1 << 31, u64::from(u32::MAX), 1 << 60, i64::MAX as u64, u64::MAX];
    let damage = prop_oneof![
        6 => any::<u8>().prop_map(Damage::Byte),
        4 => prop::sample::select(lengths.to_vec()).prop_map(Damage::Word),
        1 => Just(Damage::Cut),
        1 => Just(Damage::Repeat),
    ];
    prop::collection::vec((0.0..1.0, damage), 1..4)
}

fn damage(bytes: &mut Vec<u8>, header_len: usize, damages: &[(f64, Damage)]) {
    for (place, damage) in damages {
        let at = (place * header_len.min(bytes.len()) as f64) as usize;
        match damage {
            Damage::Byte(byte) => bytes[at..].iter_mut().take(1).for_each(|b| *b = *byte),
            Damage::Word(word) => {
                bytes[at..].iter_mut().zip(word.to_le_bytes()).for_each(|(b, w)| *b = w);
            }
            Damage::Cut => bytes.truncate(at),
            Damage::Repeat => {
                let end = (at + 24).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// A model, or an error with a message of bounded length; where it opens, it is consistent.
fn check(files: &[(&str, &[u8])]) -> Result<(), TestCaseError> {
    match open(files) {
        Ok(model) => {
            for (name, shape) in model.spec.tensor_shapes() {
                prop_assert!(model.weights.expect(&name, &shape).is_ok());
            }
            for rope in &model.spec.ropes {
                prop_assert_eq!(rope.inv_freq().len(), rope.dim / 2);
            }
        }
        Err(error) => prop_assert!(error.to_string().len() < 2_000),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_gguf_never_panics(damages in damages()) {
        let gguf = Gguf::tiny();
        let mut bytes = gguf.bytes();
        let header_len = bytes.len() - gguf.data.len();
        damage(&mut bytes, header_len, &damages);
        check(&[("model.gguf", &bytes)])?;
    }

    #[test]
    fn a_damaged_folder_never_panics(file in 0..5_usize, damages in damages()) {
        let mut files = Folder::tiny().files();
        prop_assert_eq!(files.len(), 5);
        let bytes = &mut files[file].1;
        let header_len = bytes.len().min(2_000);
        damage(bytes, header_len, &damages);
        let files: Vec<_> =
            files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        check(&files)?;
    }

    #[test]
    fn a_damaged_quantised_folder_never_panics(
        name in prop::sample::select(QUANTISED.to_vec()),
        config in any::<bool>(),
        damages in damages(),
    ) {
        let read = |file: &str| std::fs::read(testdata("quantised").join(name).join(file));
        let mut json = read("config.json").expect("it reads");
        let mut weights = read("model.safetensors").expect("it reads");
        let header_len = 8 + usize::from(u16::from_le_bytes([weights[0], weights[1]]));
        if config {
            damage(&mut json, usize::MAX, &damages);
        } else {
            damage(&mut weights, header_len, &damages);
        }
        let files: [(&str, &[u8]); 3] =
            [("config.json", &json), ("tokenizer.json", b"{}"), ("model.safetensors", &weights)];
        check(&files)?;
    }
}
