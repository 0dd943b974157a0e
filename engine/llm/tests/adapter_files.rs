//! Adapters' files that lie, and adapters in memory.

#[path = "support/adapters.rs"]
mod adapters;
#[path = "support/golden.rs"]
mod golden;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use engine_llm::{
    LoadError,
    adapters::{AdapterBase, AdapterError, AdapterStore, CONFIG, Kept, TENSORS},
};
use serde_json::{Value, json};

/// Name and shape of a tensor of zeros.
type Shaped = (String, Vec<usize>);

fn of(module: &str, [a, b]: [[usize; 2]; 2]) -> [Shaped; 2] {
    let name = |part: &str| format!("base_model.model.model.layers.{module}.{part}.weight");
    [(name("lora_A"), a.to_vec()), (name("lora_B"), b.to_vec())]
}

fn safetensors(tensors: &[Shaped]) -> Vec<u8> {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in tensors {
        let start = end;
        end += shape.iter().product::<usize>() * 4;
        let info = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]});
        header.insert(name.clone(), info);
    }
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.resize(file.len() + end, 0);
    file
}

fn config(change: &Value) -> Value {
    let mut config = json!({
        "peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": null, "bias": "none",
    });
    for (field, value) in change.as_object().expect("an object") {
        config[field] = value.clone();
    }
    config
}

/// What opening an adapter of these says is wrong.
fn error_of(base: &AdapterBase, change: &Value, tensors: &[Shaped]) -> String {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, bytes: Vec<u8>| -> (String, PathBuf) {
        std::fs::write(dir.path().join(name), bytes).expect("a file");
        (name.to_owned(), dir.path().join(name))
    };
    let files: BTreeMap<_, _> = [
        file(CONFIG, config(change).to_string().into_bytes()),
        file(TENSORS, safetensors(tensors)),
    ]
    .into();
    base.open(&files).expect_err("it is refused").to_string()
}

#[test]
fn what_does_not_fit_is_refused_by_tensor_or_field() {
    // 64 wide, 4 heads of 16 sharing 2 keys, 96 within, 2 layers.
    let base = golden::tiny("llama").0.base;
    let q = of("0.self_attn.q_proj", [[4, 64], [64, 4]]);
    let none = json!({});
    for (tensors, expect) in [
        (of("0.self_attn.q_proj", [[8, 64], [64, 8]]), ["lora_A", "rank 8", "`r`"]),
        (of("0.self_attn.q_proj", [[4, 64], [64, 8]]), ["lora_B", "rank 8", "`r`"]),
        (of("0.self_attn.q_proj", [[4, 32], [64, 4]]), ["lora_A", "32 inputs", "64"]),
        (of("0.self_attn.k_proj", [[4, 64], [64, 4]]), ["lora_B", "64 outputs", "32"]),
        // As two in one, for a base that has them apart.
        (of("0.mlp.up_proj", [[4, 64], [192, 4]]), ["lora_B", "192 outputs", "96"]),
        (of("2.self_attn.q_proj", [[4, 64], [64, 4]]), ["layers.2", "no module", "lora_A"]),
        (of("0.self_attn.qkv_proj", [[4, 64], [128, 4]]), ["qkv_proj", "no module", "lora_A"]),
        (of("0.input_layernorm", [[4, 64], [64, 4]]), ["input_layernorm", "no module", "lora_A"]),
    ] {
        let error = error_of(&base, &none, &tensors);
        assert!(expect.iter().all(|part| error.contains(part)), "{expect:?}: {error}");
        assert!(error.contains(TENSORS), "{error}");
    }
    let named = |name: &str, shape: &[usize]| (format!("base_model.model.{name}"), shape.to_vec());
    for (tensor, expect) in [
        (named("lm_head.lora_A.weight", &[4, 64]), "lora_B"),
        (named("model.embed_tokens.lora_embedding_A", &[4, 300]), "embeddings"),
        (named("model.layers.0.self_attn.q_proj.lora_magnitude_vector", &[64]), "DoRA"),
        (named("model.layers.0.self_attn.q_proj.lora_B.bias", &[64]), "bias"),
        (named("model.layers.0.mlp.gate_proj.weight", &[64, 64]), "lora_A.weight"),
        (("model.layers.0.self_attn.q_proj.lora_A.weight".into(), vec![4, 64]), "base_model"),
        (named("model.layers.0.self_attn.v_proj.lora_A.weight", &[4]), "v_proj"),
    ] {
        let all = [q.to_vec(), vec![tensor]].concat();
        let error = error_of(&base, &none, &all);
        assert!(error.contains(expect), "{expect}: {error}");
    }
    let head =
        [named("lm_head.lora_A.weight", &[4, 64]), named("lm_head.lora_B.weight", &[300, 4])];
    let error = error_of(&base, &none, &head);
    assert!(error.contains("lm_head") && error.contains("no module"), "{error}");
    assert!(error_of(&base, &none, &[]).contains("no tensor"));
    let error = error_of(&base, &json!({"target_modules": ["k_proj"]}), &q);
    assert!(error.contains("target_modules") && error.contains("q_proj"), "{error}");
    let error = error_of(&base, &json!({"rank_pattern": {"q_proj": 7}}), &q);
    assert!(error.contains("rank_pattern") && error.contains('7'), "{error}");
    let error = error_of(&base, &json!({"r": 0}), &q);
    assert!(error.contains(CONFIG) && error.contains("\"r\""), "{error}");
}

#[test]
fn projections_that_are_not_those_of_the_base_are_refused() {
    for (family, module, shapes) in [
        // Experts, their router, and the shared one.
        ("mixtral", "0.block_sparse_moe.experts.0.w1", [[4, 32], [48, 4]]),
        ("mixtral", "0.block_sparse_moe.gate", [[4, 32], [4, 4]]),
        ("qwen2-moe", "0.mlp.shared_expert.up_proj", [[4, 32], [40, 4]]),
        ("qwen3-moe", "0.mlp.up_proj", [[4, 32], [48, 4]]),
        // Latent vectors.
        ("deepseek3", "0.self_attn.kv_b_proj", [[4, 16], [80, 4]]),
        ("deepseek2", "0.self_attn.q_proj", [[4, 32], [48, 4]]),
        // Fused ones of other sizes.
        ("phi3", "0.self_attn.qkv_proj", [[4, 32], [65, 4]]),
        ("phi3", "0.mlp.gate_up_proj", [[4, 32], [48, 4]]),
    ] {
        let base = golden::family(family).0.base;
        let error = error_of(&base, &json!({}), &of(module, shapes));
        assert!(error.contains(module), "{family}: {error}");
    }
}

/// Bytes of an adapter of the tiny Llama.
fn bytes(base: &AdapterBase, name: &str) -> usize {
    base.open(&adapters::files(name)).expect("it opens").num_bytes(Kept::Bf16)
}

#[test]
fn those_unused_for_longest_go_and_those_in_use_stay() {
    let base = golden::tiny("llama").0.base;
    let names = ["llama-attention", "llama-patterns", "llama-rslora"];
    let [a, b, c] = names.map(|name| bytes(&base, name));
    // Room for all but one.
    let store = AdapterStore::new(a + b + c - 1, Kept::Bf16);
    let mut num_opened = 0;
    let mut get = |name: &str| {
        store.get(&name.into(), || {
            num_opened += 1;
            base.open(&adapters::files(name))
        })
    };
    let first = get(names[0]).expect("there is room");
    drop(get(names[1]).expect("there is room"));
    drop(get(names[0]).expect("it is there"));
    // The first is in use, so the second goes.
    let third = get(names[2]).expect("there is room");
    assert_eq!(store.in_memory(), (2, a + c));
    assert!(matches!(get(names[1]), Err(AdapterError::NoRoom { .. })));
    drop(first);
    // Cloning uses it, too.
    let clone = third.clone();
    drop(third);
    drop(get(names[1]).expect("the first goes"));
    assert_eq!(store.in_memory(), (2, b + c));
    drop(clone);
    drop(get(names[0]).expect("the third goes: the second was used after it"));
    assert_eq!(store.in_memory(), (2, a + b));
    // Twice for lack of room, else once for each time that it was not there.
    assert_eq!(num_opened, 6);
}

#[test]
fn what_is_too_large_or_wrong_leaves_the_others_alone() {
    let base = golden::tiny("llama").0.base;
    let a = bytes(&base, "llama-layer");
    let store = AdapterStore::new(a, Kept::Bf16);
    let get = |name: &str| store.get(&name.into(), || base.open(&adapters::files(name)));
    drop(get("llama-layer").expect("there is room"));
    assert!(matches!(get("llama-rslora"), Err(AdapterError::TooLarge { .. })));
    assert!(matches!(get("no-such"), Err(AdapterError::Files(LoadError::Io { .. }))));
    assert_eq!(store.in_memory(), (1, a));
}

#[test]
fn an_adapter_asked_for_by_many_is_read_once() {
    let base = golden::tiny("llama").0.base;
    let store = AdapterStore::new(1 << 20, Kept::F32);
    let num_opened = std::sync::atomic::AtomicUsize::new(0);
    let id: Arc<str> = "x".into();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let open = || {
                    num_opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    base.open(&adapters::files("llama-rslora"))
                };
                store.get(&id, open).expect("there is room")
            });
        }
    });
    assert_eq!(num_opened.into_inner(), 1);
}
