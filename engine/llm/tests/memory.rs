//! A model that is too large for the memory is refused before it is read, with the numbers.

#[path = "support/engine.rs"]
mod engine;

use std::{collections::BTreeMap, fs, io::Write, path::Path};

use engine_llm::{
    executors::cpu::{CpuError, CpuExecutor, CpuOptions, Needs},
    weights::{self, Model},
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

fn tiny(name: &str) -> BTreeMap<String, std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tiny").join(name);
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect()
}

fn refused(available: u64, model: &Model, options: &CpuOptions) -> (Needs, String) {
    let weights = (model.spec.clone(), &model.weights);
    match CpuExecutor::within(Some(available), weights, options.clone()) {
        Err(error @ CpuError::TooLarge { needs, .. }) => (needs, error.to_string()),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it fits {available} bytes"),
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_numbers_and_what_to_change() {
    let model = weights::open(&tiny("llama")).expect("it opens");
    let options = engine::standard();
    let (needs, message) = refused(0, &model, &options);
    for number in [needs.weights, needs.kv_cache, needs.buffers, needs.total(), 0] {
        assert!(message.contains(&format!(" {number}")), "{number}: {message}");
    }
    assert!(message.contains("weights alone"), "{message}");
    // All of the cache, but for what is no whole block of it.
    assert!(needs.kv_cache <= 64 << 20 && needs.kv_cache > 63 << 20, "{needs:?}");
    let stored: usize = (model.weights.names())
        .filter_map(|name| model.weights.get(name))
        .map(|tensor| tensor.bytes().len())
        .sum();
    // In F32 they are stored; packed they have half the bits, but whole panels.
    assert!((stored as u64 / 4..2 * stored as u64).contains(&needs.weights), "{needs:?} {stored}");

    let weights = || (model.spec.clone(), &model.weights);
    let total = needs.total();
    assert!(CpuExecutor::within(Some(total), weights(), options.clone()).is_ok());
    let (again, message) = refused(total - 1, &model, &options);
    assert_eq!(again, needs);
    let left = needs.kv_cache - 1;
    assert!(message.contains("--kv-cache") && message.contains(&left.to_string()), "{message}");
    // That much fits, as it was told.
    let less = CpuOptions { kv_cache_bytes: left as usize, ..options };
    assert!(CpuExecutor::within(Some(total - 1), weights(), less.clone()).is_ok());
    // Where nobody says how much there is, nothing is refused.
    assert!(CpuExecutor::within(None, weights(), less).is_ok());
}

/// A folder that claims 70 · 10⁹ weights: a file of that size, without a byte written.
fn huge(dir: &Path) -> BTreeMap<String, std::path::PathBuf> {
    let (hidden, width, kv, layers, vocab) = (8192, 28_672, 1024, 80, 128_256);
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "hidden_size": hidden, "intermediate_size": width,
        "num_attention_heads": 64, "num_key_value_heads": 8, "num_hidden_layers": layers,
        "vocab_size": vocab, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
    });
    let (mut header, mut end) = (Map::new(), 0_u64);
    let mut add = |name: String, shape: &[u64]| {
        let start = end;
        end += 2 * shape.iter().product::<u64>();
        let entry = json!({"dtype": "BF16", "shape": shape, "data_offsets": [start, end]});
        header.insert(name, entry);
    };
    add("model.embed_tokens.weight".into(), &[vocab, hidden]);
    add("lm_head.weight".into(), &[vocab, hidden]);
    add("model.norm.weight".into(), &[hidden]);
    for layer in 0..layers {
        let matrices = [
            ("self_attn.q_proj", vec![hidden, hidden]),
            ("self_attn.k_proj", vec![kv, hidden]),
            ("self_attn.v_proj", vec![kv, hidden]),
            ("self_attn.o_proj", vec![hidden, hidden]),
            ("mlp.gate_proj", vec![width, hidden]),
            ("mlp.up_proj", vec![width, hidden]),
            ("mlp.down_proj", vec![hidden, width]),
            ("input_layernorm", vec![hidden]),
            ("post_attention_layernorm", vec![hidden]),
        ];
        for (role, shape) in matrices {
            add(format!("model.layers.{layer}.{role}.weight"), &shape);
        }
    }
    let header = Value::Object(header).to_string();
    let path = dir.join("model.safetensors");
    let mut file = fs::File::create(&path).expect("a file");
    file.write_all(&(header.len() as u64).to_le_bytes()).expect("it writes");
    file.write_all(header.as_bytes()).expect("it writes");
    file.set_len(8 + header.len() as u64 + end).expect("a file with holes");
    let config_json = dir.join("config.json");
    fs::write(&config_json, config.to_string()).expect("it writes");
    let tokenizer = tiny("llama").remove("tokenizer.json").expect("it is there");
    [("model.safetensors", path), ("config.json", config_json), ("tokenizer.json", tokenizer)]
        .map(|(name, path)| (name.to_owned(), path))
        .into()
}

/// Were it read, this would take minutes and more memory than there is.
#[test]
fn a_huge_model_is_refused_from_its_header() {
    let dir = TempDir::new().expect("a folder");
    let model = weights::open(&huge(dir.path())).expect("all of it is consistent");
    let (needs, message) = refused(16 << 30, &model, &engine::standard());
    assert!((70 << 30..300 << 30).contains(&needs.weights), "{needs:?}");
    assert!(message.contains(&(16_u64 << 30).to_string()), "{message}");
    assert!(message.contains("quantised"), "{message}");
}
