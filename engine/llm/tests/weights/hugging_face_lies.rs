//! Hugging Face folders that lie: each gets an error that names the file, field or tensor.

use serde_json::{Value, json};

use crate::{error_of, open};

/// Name, dtype, shape; all numbers are zero.
type ShardTensor = (String, &'static str, Vec<usize>);

/// A folder being made.
pub(crate) struct Folder {
    config: Value,
    /// Shards by name.
    shards: Vec<(String, Vec<ShardTensor>)>,
    index: Option<Value>,
}

impl Folder {
    /// A llama of one layer that opens, in two shards with an index.
    pub(crate) fn tiny() -> Self {
        let tensor = |name: &str, shape: &[usize]| (name.to_owned(), "F32", shape.to_vec());
        let layer = |role: &str, shape: &[usize]| tensor(&format!("model.layers.0.{role}"), shape);
        let first = vec![
            tensor("model.embed_tokens.weight", &[5, 32]),
            tensor("model.norm.weight", &[32]),
            tensor("lm_head.weight", &[5, 32]),
        ];
        let second = vec![
            layer("input_layernorm.weight", &[32]),
            layer("self_attn.q_proj.weight", &[32, 32]),
            layer("self_attn.k_proj.weight", &[16, 32]),
            layer("self_attn.v_proj.weight", &[16, 32]),
            layer("self_attn.o_proj.weight", &[32, 32]),
            layer("self_attn.rotary_emb.inv_freq", &[4]),
            layer("post_attention_layernorm.weight", &[32]),
            layer("mlp.gate_proj.weight", &[64, 32]),
            layer("mlp.up_proj.weight", &[64, 32]),
            layer("mlp.down_proj.weight", &[32, 64]),
        ];
        let config = json!({
            "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "vocab_size": 5,
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
            "num_attention_heads": 4, "num_key_value_heads": 2,
            "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000,
            "rope_scaling": null,
        });
        let shards = vec![("a.safetensors".into(), first), ("b.safetensors".into(), second)];
        let mut folder = Self { config, shards, index: None };
        let map = folder.shards.iter().flat_map(|(shard, tensors)| {
            tensors.iter().map(|(name, ..)| (name.clone(), Value::from(shard.as_str())))
        });
        folder.index = Some(json!({"metadata": {}, "weight_map": Value::Object(map.collect())}));
        folder
    }

    /// The folder's files.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = vec![
            ("config.json".into(), self.config.to_string().into_bytes()),
            ("tokenizer.json".into(), b"{}".to_vec()),
        ];
        for (shard, tensors) in &self.shards {
            files.push((shard.clone(), shard_bytes(tensors)));
        }
        if let Some(index) = &self.index {
            let name = "model.safetensors.index.json";
            files.push((name.into(), index.to_string().into_bytes()));
        }
        files
    }

    fn weight_map(&mut self) -> &mut Value {
        &mut self.index.as_mut().expect("an index")["weight_map"]
    }
}

fn shard_bytes(tensors: &[ShardTensor]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, dtype, shape) in tensors {
        let start = end;
        end += shape.iter().product::<usize>() * if *dtype == "F32" { 4 } else { 2 };
        header.insert(
            name.clone(),
            json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}),
        );
    }
    safetensors(&Value::Object(header).to_string(), end)
}

fn safetensors(header: &str, data_len: usize) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), &vec![0; data_len]].concat()
}

fn as_slices(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect()
}

/// Parts of the error that a change must lead to.
type Case<'a> = (&'a [&'a str], &'a dyn Fn(&mut Folder));

fn check(cases: &[Case<'_>]) {
    for (parts, change) in cases {
        let mut folder = Folder::tiny();
        change(&mut folder);
        let error = error_of(&as_slices(&folder.files()));
        for part in *parts {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }
}

/// Each header, with 64 bytes of data, must lead to an error with all of these parts.
fn check_headers(cases: &[(&[&str], &str)]) {
    let config = Folder::tiny().config.to_string();
    for (parts, header) in cases {
        let shard = safetensors(header, 64);
        let error = error_of(&[
            ("config.json", config.as_bytes()),
            ("tokenizer.json", b"{}"),
            ("model.safetensors", &shard),
        ]);
        for part in *parts {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }
}

#[test]
fn the_unchanged_folder_opens() {
    let model = open(&as_slices(&Folder::tiny().files())).expect("a right folder");
    assert_eq!(model.weights.names().count(), 12);
    assert!(!model.spec.head.tied);
}

#[test]
fn a_tied_head_that_was_saved_too_is_left_out() {
    let mut folder = Folder::tiny();
    folder.config["tie_word_embeddings"] = json!(true);
    let model = open(&as_slices(&folder.files())).expect("a right folder");
    assert!(model.weights.get("output.weight").is_none());
}

#[test]
fn a_header_that_lies() {
    let tensor = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#""t": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {offsets}}}"#)
    };
    let one = |dtype, shape, offsets| format!("{{{}}}", tensor(dtype, shape, offsets));
    let good = tensor("F32", "[4]", "[0, 16]");
    let other = good.replace("\"t\"", "\"u\"");
    check_headers(&[
        (&["not as specified"], "{"),
        (&["not as specified"], "[]"),
        (&["\"t\"", "invalid type"], r#"{"t": 1}"#),
        (&["\"t\"", "missing field"], r#"{"t": {}}"#),
        (&["\"t\"", "\"I64\""], &one("I64", "[2]", "[0, 16]")),
        (&["\"t\"", "\"F8_E4M3\""], &one("F8_E4M3", "[16]", "[0, 16]")),
        (&["\"t\"", "shape [0]"], &one("F32", "[0]", "[0, 0]")),
        (&["\"t\"", "-4"], &one("F32", "[-4]", "[0, 16]")),
        (&["\"t\"", "addressable"], &one("F32", "[4294967296, 4294967296]", "[0, 16]")),
        (&["\"t\"", "takes 16 bytes"], &one("F32", "[4]", "[0, 12]")),
        (&["\"t\"", "takes 16 bytes"], &one("F32", "[4]", "[0, 20]")),
        (&["\"t\"", "past the 64 bytes"], &one("F32", "[20]", "[0, 80]")),
        (&["\"t\"", "takes 16 bytes"], &one("F32", "[4]", "[0, 18446744073709551615]")),
        (&["\"t\"", "5 dimensions"], &one("F32", "[1,1,1,1,4]", "[0, 16]")),
        (&["overlaps"], &format!("{{{good}, {other}}}")),
        (&["\"t\"", "leaves a hole"], &one("F32", "[4]", "[8, 24]")),
        (&["64 bytes of data", "take 16"], &one("F32", "[4]", "[0, 16]")),
        (&["overlaps"], &format!("{{{good}, {good}}}")),
    ]);
}

#[test]
fn a_name_given_twice() {
    let at = |start: u32| {
        let end = start + 16;
        format!(r#""t": {{"dtype": "F32", "shape": [4], "data_offsets": [{start}, {end}]}}"#)
    };
    check_headers(&[(&["\"t\"", "is there twice"], &format!("{{{}, {}}}", at(0), at(16)))]);
}

#[test]
fn a_header_length_that_lies() {
    let config = Folder::tiny().config.to_string();
    for (length, part) in [
        (2 << 30, "a header of 2147483648 bytes"),
        (1 << 60, "a header of 1152921504606846976 bytes"),
        (u64::MAX, "a header of"),
        (1 << 20, "truncated"),
    ] {
        let error = error_of(&[
            ("config.json", config.as_bytes()),
            ("tokenizer.json", b"{}"),
            ("model.safetensors", &length.to_le_bytes()),
        ]);
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn shards_that_lie() {
    const NORM: &str = "model.norm.weight";
    check(&[
        (&["c.safetensors", "is missing"], &|f| f.weight_map()[NORM] = json!("c.safetensors")),
        (&["../../a.safetensors", "not a .safetensors file's name"], &|f| {
            f.weight_map()[NORM] = json!("../../a.safetensors");
        }),
        (&["weight_map", "/etc/passwd"], &|f| f.weight_map()[NORM] = json!("/etc/passwd")),
        (&["weight_map", "7"], &|f| f.weight_map()[NORM] = json!(7)),
        (&["weight_map", "missing"], &|f| f.index = Some(json!({}))),
        (&["not an object"], &|f| f.index = Some(json!([]))),
        (&[NORM, "the index does not say so"], &|f| {
            f.weight_map()[NORM] = json!("b.safetensors");
        }),
        (&["model.extra.weight", "is not in this shard"], &|f| {
            f.weight_map()["model.extra.weight"] = json!("a.safetensors");
        }),
        (&[NORM, "another shard"], &|f| {
            let norm = f.shards[0].1[1].clone();
            f.shards[1].1.push(norm);
        }),
        (&["several .safetensors files"], &|f| f.index = None),
        (&["neither a .gguf nor"], &|f| {
            f.index = None;
            f.shards.clear();
        }),
    ]);
}

#[test]
fn tensors_that_are_not_the_model() {
    check(&[
        (&["model.layers.0.self_attn.k_proj.weight", "[16, 32]", "[32, 32]"], &|f| {
            f.config["num_key_value_heads"] = json!(4);
        }),
        (&["q_proj.bias", "is missing"], &|f| f.config["attention_bias"] = json!(true)),
        (&["model.layers.1.input_layernorm.weight"], &|f| f.config["num_hidden_layers"] = json!(2)),
        (&["model.layers.0.mlp.experts.weight", "has no place"], &|f| {
            f.index = None;
            let (_, second) = f.shards.remove(1);
            f.shards[0].1.extend(second);
            let extra = ("model.layers.0.mlp.experts.weight".into(), "F32", vec![2]);
            f.shards[0].1.push(extra);
        }),
    ]);
}

#[test]
fn a_config_that_lies() {
    let set = |f: &mut Folder, key: &str, value: Value| f.config[key] = value;
    check(&[
        (&["architectures", "Gpt9"], &|f| set(f, "architectures", json!(["Gpt9"]))),
        (&["architectures", "missing"], &|f| set(f, "architectures", json!(null))),
        (&["hidden_act", "tanh"], &|f| set(f, "hidden_act", json!("tanh"))),
        (&["mlp.gate_proj.bias", "missing"], &|f| set(f, "mlp_bias", json!(true))),
        (&["hidden_size", "missing"], &|f| set(f, "hidden_size", json!(null))),
        (&["hidden_size", "-32"], &|f| set(f, "hidden_size", json!(-32))),
        (&["hidden_size", "32.5"], &|f| set(f, "hidden_size", json!(32.5))),
        (&["vocab_size", "0 is not"], &|f| set(f, "vocab_size", json!(0))),
        (&["max_position_embeddings", "18446744073709551615"], &|f| {
            set(f, "max_position_embeddings", json!(u64::MAX));
        }),
        (&["num_attention_heads", "0 does not"], &|f| set(f, "num_attention_heads", json!(0))),
        (&["num_attention_heads", "5 does"], &|f| set(f, "num_attention_heads", json!(5))),
        (&["head_dim", "of 7"], &|f| set(f, "head_dim", json!(7))),
        (&["rms_norm_eps", "1e-5"], &|f| set(f, "rms_norm_eps", json!("1e-5"))),
        (&["rms_norm_eps", "inf"], &|f| set(f, "rms_norm_eps", json!(1e300))),
        (&["scaling.type", "dynamic"], &|f| set(f, "rope_scaling", json!({"type": "dynamic"}))),
        (&["scaling.factor", "missing"], &|f| set(f, "rope_scaling", json!({"type": "linear"}))),
        (&["rope_scaling.factor", "0"], &|f| {
            set(f, "rope_scaling", json!({"type": "linear", "factor": 0}));
        }),
        (&["rope_parameters.high_freq_factor", "1 is below"], &|f| {
            let scaling = json!({"rope_type": "llama3", "factor": 8, "low_freq_factor": 2,
                "high_freq_factor": 1, "original_max_position_embeddings": 32});
            set(f, "rope_parameters", scaling);
        }),
        (&["partial_rotary_factor", "16"], &|f| set(f, "partial_rotary_factor", json!(2.0))),
    ]);
}

#[test]
fn a_config_that_is_not_json() {
    for (config, part) in [
        (&b"{"[..], "not JSON"),
        (b"7", "not an object"),
        (b"{\"a\": \xff}", "not JSON"),
        ("[".repeat(100_000).as_bytes(), "recursion limit"),
    ] {
        let error = error_of(&[("config.json", config), ("tokenizer.json", b"{}")]);
        assert!(error.contains(part), "{error}");
    }
    assert!(error_of(&[]).contains("config.json is missing"));
}
