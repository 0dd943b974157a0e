//! Configurations of other families than Llama that lie: each gets an error that names the field or
//! tensor, however large the numbers are, before anything is made of them.

use serde_json::{Value, json};

use crate::{error_of, testdata};

const HUGE: u64 = 1 << 63;

/// What opening a family's folder says once these fields of its configuration are others; before
/// dots are the objects that they are in.
pub(crate) fn error(family: &str, changes: &Value) -> String {
    let read = |name: &str| {
        std::fs::read(testdata("families").join(family).join(name)).expect("a golden folder's file")
    };
    let mut config: Value = serde_json::from_slice(&read("config.json")).expect("JSON");
    for (field, value) in changes.as_object().expect("an object") {
        *field.split('.').fold(&mut config, |object, field| &mut object[field]) = value.clone();
    }
    let (config, weights) = (config.to_string(), read("model.safetensors"));
    error_of(&[
        ("config.json", config.as_bytes()),
        ("tokenizer.json", b"{}"),
        ("model.safetensors", &weights),
    ])
}

fn assert_told(family: &str, changes: &Value, parts: &[&str]) {
    let error = error(family, changes);
    for part in parts {
        assert!(error.contains(part), "{family}: {part:?} is not in: {error}");
    }
}

#[test]
fn sizes_that_cannot_be_or_do_not_fit() {
    for (family, changes, parts) in [
        ("deepseek3", json!({"n_group": 3}), &["n_group", "3 does not divide"][..]),
        ("deepseek3", json!({"topk_group": 5}), &["topk_group", "5"]),
        (
            "deepseek3",
            json!({"n_routed_experts": HUGE}),
            &["n_routed_experts", "9223372036854775808"],
        ),
        ("deepseek3", json!({"num_experts_per_tok": 9}), &["num_experts_per_tok", "9"]),
        ("deepseek3", json!({"n_shared_experts": HUGE}), &["n_shared_experts"]),
        (
            "deepseek3",
            json!({"qk_rope_head_dim": HUGE}),
            &["qk_rope_head_dim", "9223372036854775808"],
        ),
        // Sums that do not fit 64 bits.
        ("deepseek3", json!({"qk_nope_head_dim": u64::MAX}), &["18446744073709551615"]),
        (
            "deepseek3",
            json!({"kv_lora_rank": HUGE, "qk_rope_head_dim": HUGE}),
            &["kv_lora_rank", "9223372036854775808"],
        ),
        // Each head has tensors of its own.
        (
            "deepseek3",
            json!({"num_attention_heads": 2048, "num_hidden_layers": 1024}),
            &["num_attention_heads", "128"],
        ),
        ("command-r", json!({"num_hidden_layers": HUGE}), &["num_hidden_layers", "1024"]),
        (
            "qwen3-moe",
            json!({"num_local_experts": 0, "num_experts": null}),
            &["num_local_experts", "0"],
        ),
        ("qwen3-moe", json!({"moe_intermediate_size": 25}), &["mlp.experts", "25"]),
        ("mixtral", json!({"num_local_experts": 5}), &["model.layers.0.", "[5, 32]"]),
        ("gpt2", json!({"n_embd": 33}), &["n_head", "33"]),
        ("gpt2", json!({"n_inner": HUGE}), &["n_inner", "9223372036854775808"]),
        ("falcon", json!({"alibi": true}), &["alibi", "true"]),
        ("gemma2", json!({"layer_types": ["full_attention"]}), &["layer_types", "1 entries"]),
        ("gemma2", json!({"query_pre_attn_scalar": -1}), &["query_pre_attn_scalar", "-1"]),
        ("granite", json!({"logits_scaling": 0}), &["logits_scaling", "0 is"]),
        ("gpt-oss", json!({"swiglu_limit": -7.0}), &["swiglu_limit", "-7"]),
        ("gpt-oss", json!({"num_local_experts": 3}), &["experts.down_proj", "[3, 48, 32]"]),
        ("phi3", json!({"num_key_value_heads": 1}), &["qkv_proj", "48"]),
        (
            "phi4",
            json!({"rope_parameters": {"rope_type": "longrope", "long_factor": [1, 2, 4],
                "original_max_position_embeddings": 0}}),
            &["original_max_position_embeddings", "0"],
        ),
        (
            "phi4",
            json!({"rope_parameters": {"rope_type": "longrope", "partial_rotary_factor": 0.75,
                "original_max_position_embeddings": 32, "long_factor": [1]}}),
            &["long_factor", "1 divisors for 3 pairs"],
        ),
    ] {
        assert_told(family, &changes, parts);
    }
}

#[test]
fn sizes_of_layers_of_several_kinds_that_cannot_be_or_do_not_fit() {
    for (family, changes, parts) in [
        ("smollm3", json!({"no_rope_layers": [1]}), &["no_rope_layers", "1 entries"][..]),
        ("llama4", json!({"attention_chunk_size": 0}), &["attention_chunk_size", "0"]),
        ("llama4", json!({"attention_chunk_size": 24}), &["attention_chunk_size", "24", "16"]),
        ("llama4", json!({"attention_chunk_size": HUGE}), &["attention_chunk_size", "922337"]),
        ("llama4", json!({"floor_scale": 0}), &["floor_scale", "0"]),
        ("llama4", json!({"attn_scale": -1}), &["attn_scale", "-1"]),
        ("llama4", json!({"moe_layers": [1, 5]}), &["moe_layers", "layer 5"]),
        ("llama4", json!({"moe_layers": [1, 2]}), &["feed_forward"]),
        ("llama4", json!({"moe_layers": null, "interleave_moe_layer_step": 0}), &["_step", "0"]),
        ("llama4", json!({"num_local_experts": HUGE}), &["num_local_experts", "922337"]),
        ("llama4", json!({"intermediate_size": 25}), &["experts.down_proj", "[4, 25, 32]"]),
        ("llama4", json!({"intermediate_size_mlp": null}), &["intermediate_size_mlp", "missing"]),
        ("llama4", json!({"layer_types": ["full_attention"]}), &["layer_types", "1 entries"]),
        ("llama4-multimodal", json!({"text_config": 7}), &["text_config", "not an object"]),
        ("llama4-multimodal", json!({"text_config": null}), &["text_config", "missing"]),
        ("idefics3", json!({"text_config": null}), &["text_config", "missing"]),
        ("smolvlm", json!({"text_config": {"model_type": "mistral"}}), &["model_type", "mistral"]),
    ] {
        assert_told(family, &changes, parts);
    }
}

#[test]
fn an_architecture_that_is_not_known_is_refused_by_name() {
    let error = error("qwen2", &json!({"architectures": ["MambaForCausalLM"]}));
    assert!(error.contains("\"architectures\": \"MambaForCausalLM\" is not"), "{error}");
}
