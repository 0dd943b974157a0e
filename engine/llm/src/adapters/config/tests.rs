//! What PEFT means by its fields, and fields that are refused.

use serde_json::json;

use super::*;

fn read(change: Value) -> Result<LoraConfig, Fault> {
    let mut config = json!({
        "peft_type": "LORA", "r": 8, "lora_alpha": 16, "bias": "none", "lora_dropout": 0.1,
        "target_modules": ["q_proj", "mlp.up_proj"], "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "elsewhere", "inference_mode": true,
        "init_lora_weights": true, "modules_to_save": null, "rank_pattern": {},
    });
    for (field, value) in change.as_object().expect("an object") {
        config[field] = value.clone();
    }
    LoraConfig::read(config.as_object().expect("an object"))
}

fn module(change: Value, name: &str) -> Option<(usize, f32)> {
    read(change).expect("it reads").module(name).expect("it matches")
}

const Q: &str = "model.layers.0.self_attn.q_proj";
const UP: &str = "model.layers.11.mlp.up_proj";

#[test]
fn ranks_and_scales_are_those_of_peft() {
    assert_eq!(module(json!({}), Q), Some((8, 2.0)));
    assert_eq!(module(json!({"use_rslora": true}), Q), Some((8, 16.0 / 8_f32.sqrt())));
    let patterns = json!({
        "rank_pattern": {"up_proj": 4, "layers.1.self_attn.q_proj": 2, r"layers\.0\..*": 32},
        "alpha_pattern": {"q_proj": 64.0},
    });
    assert_eq!(module(patterns.clone(), UP), Some((4, 4.0)));
    assert_eq!(module(patterns.clone(), Q), Some((32, 2.0)));
    // `layers.1` does not match within `layers.11`, but the dot in it any character.
    let q11 = "model.layers.11.self_attn.q_proj";
    assert_eq!(module(patterns.clone(), q11), Some((8, 8.0)));
    assert_eq!(module(patterns, "model.layers.1.self_attn.q_proj"), Some((2, 32.0)));
}

#[test]
fn modules_are_named_by_parts_or_by_a_pattern() {
    for (targets, q, up) in [
        (json!(["q_proj"]), true, false),
        (json!(["proj"]), false, false),
        (json!(["mlp.up_proj"]), false, true),
        (json!(null), true, true),
        (json!("all-linear"), true, true),
        (json!(r".*\.(0|1)\.self_attn\.(q|k)_proj"), true, false),
        (json!("self_attn"), false, false),
        (json!("(?!.*mlp).*_proj"), true, false),
    ] {
        let named = |name| module(json!({"target_modules": targets}), name).is_some();
        assert_eq!((named(Q), named(UP)), (q, up), "{targets}");
    }
}

#[test]
fn what_is_not_computed_is_refused_by_its_field() {
    for (field, value) in [
        ("peft_type", json!("LOHA")),
        ("peft_type", json!(null)),
        ("r", json!(0)),
        ("r", json!(1 << 20)),
        ("r", json!(-1)),
        ("r", json!("8")),
        ("lora_alpha", json!(1e300)),
        ("use_dora", json!(true)),
        ("bias", json!("all")),
        ("modules_to_save", json!(["lm_head"])),
        ("target_parameters", json!(["mlp.experts.down_proj"])),
        ("task_type", json!("SEQ_CLS")),
        ("init_lora_weights", json!("pissa_niter_4")),
        ("rank_pattern", json!({"q_proj": 0})),
        ("rank_pattern", json!({"q_proj": "8"})),
        ("rank_pattern", json!({"(": 8})),
        ("rank_pattern", json!([1])),
        ("target_modules", json!("(")),
        ("target_modules", json!(7)),
        ("target_modules", json!("x".repeat(10_000))),
    ] {
        let error = read(json!({field: value})).err().expect(field).to_string();
        assert!(error.contains(field), "{error}");
    }
}

#[test]
fn a_pattern_that_takes_too_long_is_an_error() {
    let config = read(json!({"target_modules": r"((a+)+)\2$"})).expect("it reads");
    let error = config.module(&format!("{}b", "a".repeat(60))).expect_err("it is given up");
    assert!(error.to_string().contains("target_modules"), "{error}");
}
