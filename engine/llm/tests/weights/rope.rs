//! Rotary frequencies against transformers' (`testdata/rope.json`).

use engine_llm::spec::{RopeScaling, RopeSpec, RopeStyle};
use serde_json::Value;

use crate::testdata;

fn number(value: &Value, key: &str) -> f32 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key}")) as f32
}

fn scaling(parameters: &Value) -> RopeScaling {
    match parameters["rope_type"].as_str() {
        Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: number(parameters, "factor") },
        Some("llama3") => RopeScaling::Llama3 {
            factor: number(parameters, "factor"),
            low_freq_factor: number(parameters, "low_freq_factor"),
            high_freq_factor: number(parameters, "high_freq_factor"),
            original_max_len: number(parameters, "original_max_position_embeddings") as usize,
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn frequencies_agree_with_transformers() {
    let json = std::fs::read(testdata("rope.json")).expect("rope.json");
    let cases: Vec<Value> = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(cases.len(), 6);
    for case in cases {
        let parameters = &case["rope_parameters"];
        let dim = number(&case, "head_dim") as usize;
        let theta = number(parameters, "rope_theta");
        let spec = RopeSpec {
            style: RopeStyle::Half,
            theta,
            dim,
            scaling: scaling(parameters),
            magnitude: 1.0,
        };
        let want: Vec<f64> = serde_json::from_value(case["inv_freq"].clone()).expect("numbers");
        let got = spec.inv_freq();
        assert_eq!(got.len(), want.len());
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            // transformers computes in f32, we in f64: they differ by rounding.
            let error = (f64::from(*got) - want).abs() / want;
            assert!(error < 1e-6, "{parameters} [{i}]: {got} is not {want}");
        }
    }
}

#[test]
fn factors_divide_each_frequency() {
    let style = RopeStyle::Interleaved;
    let spec = |scaling| RopeSpec { style, theta: 1e4, dim: 4, scaling, magnitude: 1.0 };
    let plain = spec(RopeScaling::None).inv_freq();
    let divided = spec(RopeScaling::Factors(vec![1.0, 8.0])).inv_freq();
    assert_eq!(divided, [plain[0], plain[1] / 8.0]);
}
