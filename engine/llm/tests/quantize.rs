//! What is written by `weights::quantize` opens as the same model, with the matrices near those of
//! the source and all else as it was.

#[path = "support/golden.rs"]
mod golden;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use engine_llm::weights::{self, DType, Model, Tensor, TextSource};
use kernels::quant::{can_quantize, dequantize};

fn files(path: &Path) -> BTreeMap<String, std::path::PathBuf> {
    if path.is_file() {
        return [("model.gguf".to_owned(), path.to_owned())].into();
    }
    std::fs::read_dir(path)
        .expect("a folder")
        .map(|entry| entry.expect("an entry"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    let mut values = vec![0.0; tensor.shape().iter().product()];
    dequantize(tensor.dtype(), tensor.bytes(), &mut values);
    values
}

/// The root mean square of the differences over that of the first.
fn distance(want: &Tensor, got: &Tensor) -> f64 {
    let (want, got) = (values(want), values(got));
    let sum = |square: fn((&f32, &f32)) -> f64| want.iter().zip(&got).map(square).sum::<f64>();
    let error = sum(|(a, b)| f64::from(a - b).powi(2));
    (error / sum(|(a, _)| f64::from(*a).powi(2))).sqrt()
}

fn quantised(source: &Path, dtype: DType) -> Model {
    let dir = tempfile::tempdir().expect("a folder");
    let told = weights::quantized_len(&files(source), dtype).expect("it opens");
    let (mut done, mut all) = (0, 0);
    let written = weights::quantize(&files(source), dtype, dir.path(), &mut |now, of| {
        assert!(now > done, "it goes on");
        (done, all) = (now, of);
    });
    let written = written.unwrap_or_else(|error| panic!("{dtype:?}: {error}"));
    assert!(done == all && all > 0, "{done} of {all}");
    let len = |path: &PathBuf| std::fs::metadata(path).expect("it is there").len();
    let len: u64 = files(&written).values().map(len).sum();
    // A header lists a few dozen tensors.
    assert!(len.abs_diff(told) < 8 << 10, "{dtype:?}: {told} were told, {len} were written");
    // What is mapped stays when the folder is gone.
    weights::open(&files(&written)).unwrap_or_else(|error| panic!("{dtype:?}: {error}"))
}

/// The most that a matrix' numbers may be off, by the format: those of random models are spread
/// evenly or normally.
fn most(dtype: DType) -> f64 {
    match dtype {
        DType::Q4_0 | DType::Q4_1 | DType::Q4K => 0.1,
        DType::Q5_0 | DType::Q5_1 | DType::Q5K => 0.05,
        DType::Q6K => 0.03,
        DType::Q8_0 => 0.01,
        _ => 0.003,
    }
}

#[test]
fn what_is_written_opens_as_the_same_model() {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tiny");
    for name in ["gguf/model.gguf", "gguf-formats/model.gguf", "llama", "llama3", "mistral"] {
        let source = tiny.join(name);
        let old = weights::open(&files(&source)).expect("it opens");
        for dtype in DType::ALL.into_iter().filter(|dtype| can_quantize(*dtype)) {
            let new = quantised(&source, dtype);
            assert_eq!(old.spec, new.spec, "{name} in {dtype:?}");
            let mut in_format = 0;
            for tensor_name in old.weights.names() {
                let at = format!("{name} in {dtype:?}: {tensor_name}");
                let get = |model: &Model| model.weights.get(tensor_name).expect(&at).clone();
                let (old, new) = (get(&old), get(&new));
                if old.shape().len() == 1 {
                    assert_eq!(old.dtype(), new.dtype(), "{at}");
                    assert_eq!(old.bytes(), new.bytes(), "{at}");
                    continue;
                }
                in_format += usize::from(new.dtype() == dtype);
                let off = distance(&old, &new);
                assert!(off < most(new.dtype()), "{at} in {:?}: {off}", new.dtype());
            }
            // Rows of 64 are no whole blocks of 256.
            assert!(in_format > 0 || dtype.block_len() == 256, "{name} in {dtype:?}");
            match (&old.text, &new.text) {
                (TextSource::Gguf(old), TextSource::Gguf(new)) => assert_eq!(old, new, "{name}"),
                (TextSource::HuggingFace(old), TextSource::HuggingFace(new)) => {
                    assert_eq!(old.chat_template.is_some(), new.chat_template.is_some(), "{name}");
                }
                _ => panic!("{name} changed its kind"),
            }
        }
    }
}

#[test]
fn a_quantised_folder_can_be_quantised() {
    let (old, _) = golden::quantised("awq");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/quantised/awq");
    let mut files = files(&folder);
    let tokenizer = folder.join("../../tiny/llama/tokenizer.json");
    files.insert("tokenizer.json".into(), tokenizer);
    let dir = tempfile::tempdir().expect("a folder");
    let written = weights::quantize(&files, DType::Q8_0, dir.path(), &mut |_, _| ());
    let new = weights::open(&self::files(&written.expect("it is written"))).expect("it opens");
    let name = "blk.0.ffn_down.weight";
    let [old, new] = [&old, &new].map(|model| model.weights.get(name).expect("the matrix"));
    assert_eq!((old.dtype(), new.dtype()), (DType::Q5_0, DType::Q8_0));
    assert!(distance(old, new) < most(DType::Q8_0));
}

/// Nothing that a format does not hold is written as infinite or as no number.
#[test]
fn what_does_not_fit_is_refused_by_tensor() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tiny/llama");
    let bytes = std::fs::read(source.join("model.safetensors")).expect("it reads");
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
    let json: serde_json::Value = serde_json::from_slice(&bytes[8..header]).expect("a header");
    let name = "model.layers.1.mlp.up_proj.weight";
    let at = header + json[name]["data_offsets"][0].as_u64().expect("a place") as usize + 40;
    for (number, dtype) in
        [(f32::NAN, DType::Q4_0), (f32::INFINITY, DType::BF16), (7e4, DType::F16)]
    {
        let dir = tempfile::tempdir().expect("a folder");
        let mut bytes = bytes.clone();
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        let mut files = files(&source);
        let damaged = dir.path().join("damaged");
        std::fs::write(&damaged, bytes).expect("it writes");
        files.insert("model.safetensors".into(), damaged);
        let error = weights::quantize(&files, dtype, dir.path(), &mut |_, _| ());
        let error = error.expect_err("an error").to_string();
        assert!(error.contains(name) && error.contains(dtype.name()), "{error}");
    }
}
