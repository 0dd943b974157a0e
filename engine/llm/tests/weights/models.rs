//! The golden models of `testdata/tiny` open, with the spec that their configuration says.

use std::{collections::BTreeMap, path::Path};

use engine_llm::{
    spec::{RopeScaling, RopeStyle},
    weights::{self, Model, TextSource},
};
use kernels::quant::{DType, dequantize};

use crate::testdata;

fn open_folder(folder: &Path) -> Model {
    let files: BTreeMap<_, _> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry"))
        .map(|entry| (entry.file_name().into_string().expect("UTF-8"), entry.path()))
        .collect();
    weights::open(&files).unwrap_or_else(|error| panic!("{error}"))
}

fn tiny(name: &str) -> Model {
    open_folder(&testdata("tiny").join(name))
}

fn dtype(model: &Model, name: &str) -> DType {
    model.weights.get(name).unwrap_or_else(|| panic!("{name}")).dtype()
}

#[test]
fn llama_in_one_file() {
    let model = tiny("llama");
    let spec = &model.spec;
    assert_eq!(spec.family, "llama");
    assert_eq!((spec.vocab_size, spec.hidden_size, spec.num_layers()), (300, 64, 2));
    assert_eq!(
        (spec.attention.num_heads, spec.attention.num_kv_heads, spec.attention.head_dim),
        (4, 2, 16)
    );
    assert_eq!((spec.feed_forward.width, spec.max_model_len), (96, 256));
    assert_eq!(
        (spec.ropes[0].style, spec.ropes[0].theta, spec.ropes[0].dim),
        (RopeStyle::Half, 1e4, 16)
    );
    assert_eq!(spec.ropes[0].scaling, RopeScaling::None);
    assert_eq!((spec.sliding_window(), spec.norm.eps), (None, 1e-6));
    assert!(!spec.attention.bias && !spec.head.tied);
    assert_eq!(dtype(&model, "output.weight"), DType::F32);
    let TextSource::HuggingFace(text) = &model.text else { panic!("not a GGUF") };
    assert!(text.tokenizer_json.ends_with("tokenizer.json"));
    assert!(text.chat_template.is_some() && text.special_tokens_map.is_none());
}

#[test]
fn llama3_in_shards_with_tied_embeddings() {
    let model = tiny("llama3");
    let scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_len: 64,
    };
    assert_eq!(model.spec.ropes[0].scaling, scaling);
    assert!(model.spec.head.tied);
    assert!(model.weights.get("output.weight").is_none());
    assert_eq!(dtype(&model, "token_embd.weight"), DType::BF16);
}

#[test]
fn llama_with_biases() {
    let model = tiny("llama-bias");
    assert!(model.spec.attention.bias && model.spec.attention.output_bias);
    model.weights.expect("blk.1.attn_output.bias", &[64]).expect("the bias");
    model.weights.expect("blk.0.attn_k.bias", &[64]).expect("the bias");
}

#[test]
fn mistral_with_a_window() {
    let model = tiny("mistral");
    assert_eq!(model.spec.family, "mistral");
    assert_eq!(model.spec.sliding_window(), Some(16));
    assert_eq!(model.spec.attention.head_dim, 32);
    assert_eq!(dtype(&model, "blk.2.ffn_down.weight"), DType::F16);
}

#[test]
fn gguf_with_a_format_for_each_role() {
    let model = tiny("gguf");
    let spec = &model.spec;
    assert_eq!((spec.ropes[0].style, spec.ropes[0].dim), (RopeStyle::Interleaved, 16));
    let RopeScaling::Factors(factors) = &spec.ropes[0].scaling else { panic!("rope_freqs.weight") };
    // As the configuration's scaling has it: the shortest wave kept, the longest divided by 8.
    assert_eq!((factors.len(), factors[0]), (8, 1.0));
    assert!((factors[7] - 8.0).abs() < 1e-5, "{factors:?}");
    for (name, want) in [
        ("token_embd.weight", DType::Q8_0),
        ("output.weight", DType::F16),
        ("blk.0.attn_q.weight", DType::Q5_1),
        ("blk.0.attn_k.weight", DType::Q5_0),
        ("blk.0.attn_output.weight", DType::BF16),
        ("blk.1.ffn_gate.weight", DType::Q4_1),
        ("blk.1.ffn_up.weight", DType::Q4_0),
        ("output_norm.weight", DType::F32),
    ] {
        assert_eq!(dtype(&model, name), want, "{name}");
    }
    let TextSource::Gguf(vocab) = &model.text else { panic!("a GGUF") };
    assert_eq!((vocab.model.as_str(), vocab.pre.as_deref()), ("gpt2", Some("gpt-2")));
    assert_eq!((vocab.tokens.len(), vocab.bos, vocab.eos), (300, Some(0), Some(1)));
    assert_eq!((vocab.token_types[0], vocab.token_types[2]), (3, 1));
    assert_eq!(vocab.merges.len(), 300 - 256 - 2);
}

#[test]
fn tensors_are_cut_where_they_lie() {
    let model = tiny("llama");
    let norm = model.weights.expect("blk.1.ffn_norm.weight", &[64]).expect("the norm");
    let mut values = vec![0.0; 64];
    dequantize(norm.dtype(), norm.bytes(), &mut values);
    // The script draws norms from [0.5, 1.5).
    assert!(values.iter().all(|x| (0.5..1.5).contains(x)), "{values:?}");
    assert!(values.iter().any(|x| *x > 1.2) && values.iter().any(|x| *x < 0.8));
}
