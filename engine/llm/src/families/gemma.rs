//! Gemma 2 and 3 (text).
//!
//! Sources: transformers' `modeling_gemma2.py` and `modeling_gemma3.py`; llama.cpp's
//! `convert_hf_to_gguf.py` and `llama-model.cpp`.

use super::{
    Family,
    base::{Defaults, LayerType, from_config, layer_types, set_windows},
    config::Config,
    gguf::{self, Gguf},
    names::{ATTENTION, FIELDS, GATED, Names, TOP},
    rope, unchanged,
};
use engine_weights::{Fault, fields::Fields};

use crate::{
    spec::{
        Activation, BlockSpec, DecoderSpec, NormKind, QkNormOver, QkNormSpec, RopeScaling,
        RopeStyle,
    },
    weights::{Tensor, WeightsError},
};

const NAMES: Names = Names {
    layers: "model.layers.",
    top: TOP,
    roles: &[
        ATTENTION,
        GATED,
        &[
            ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", "post_attention_norm"),
            ("pre_feedforward_layernorm", "ffn_norm"),
            ("post_feedforward_layernorm", "post_ffw_norm"),
        ],
    ],
    fields: FIELDS,
};

pub(super) const FAMILIES: [Family; 2] = [
    Family {
        architectures: &["Gemma2ForCausalLM"],
        from_config: gemma2,
        names: &NAMES,
        reform: norms,
        gguf: &["gemma2"],
        gguf_reform: unchanged,
        from_gguf: gemma2_gguf,
    },
    Family {
        architectures: &["Gemma3ForCausalLM"],
        from_config: gemma3,
        names: &NAMES,
        reform: norms,
        gguf: &["gemma3"],
        gguf_reform: unchanged,
        from_gguf: gemma3_gguf,
    },
];

/// Files of transformers hold how much norms differ from one.
fn norms(_: &DecoderSpec, tensor: Tensor) -> Result<Vec<Tensor>, WeightsError> {
    let is_norm = tensor.name().ends_with("_norm.weight");
    Ok(vec![if is_norm { tensor.plus_one()? } else { tensor }])
}

const DEFAULTS: Defaults = Defaults { kv_heads: None, eps: 1e-6, rotated: 1.0, tied: true };

/// What both have in common.
fn shape(spec: &mut DecoderSpec) {
    spec.embedding.scale = (spec.hidden_size as f32).sqrt();
    spec.block = BlockSpec::BothNorms;
    spec.feed_forward.activation = Activation::GeluTanh;
}

fn common(config: &Config<'_>, family: &str) -> Result<DecoderSpec, Fault> {
    let mut spec = from_config(config, family, &DEFAULTS)?;
    shape(&mut spec);
    spec.attention.bias = config.get("attention_bias")?.unwrap_or(false);
    spec.attention.output_bias = spec.attention.bias;
    let scalar = config.positive("query_pre_attn_scalar")?.unwrap_or(256.0);
    spec.attention.scale = 1.0 / scalar.sqrt();
    Ok(spec)
}

/// A cap: `null` means none, no field what the class has.
fn cap(config: &Config<'_>, field: &str, default: Option<f32>) -> Result<Option<f32>, Fault> {
    if config.stands(field).is_some() { config.positive(field) } else { Ok(default) }
}

fn gemma2(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = common(config, "gemma2")?;
    spec.attention.softcap = cap(config, "attn_logit_softcapping", Some(50.0))?;
    spec.head.softcap = cap(config, "final_logit_softcapping", Some(30.0))?;
    let window = config.get("sliding_window")?.or(Some(4096));
    match layer_types(config, spec.layers.len())? {
        Some(types) => set_windows(&mut spec, window, |i| types[i] == LayerType::Sliding),
        None => set_windows(&mut spec, window, |i| i.is_multiple_of(2)),
    }
    Ok(spec)
}

fn gemma3(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    config.only("use_bidirectional_attention", false)?;
    let mut spec = common(config, "gemma3")?;
    spec.attention.softcap = cap(config, "attn_logit_softcapping", None)?;
    spec.head.softcap = cap(config, "final_logit_softcapping", None)?;
    let over = QkNormOver::Head;
    spec.attention.qk_norm = Some(QkNormSpec { kind: NormKind::Rms, over, eps: spec.norm.eps });
    let window = config.get("sliding_window")?.or(Some(4096));
    match layer_types(config, spec.layers.len())? {
        Some(types) => set_windows(&mut spec, window, |i| types[i] == LayerType::Sliding),
        None => {
            let pattern = config.get("sliding_window_pattern")?.unwrap_or(6_usize);
            set_windows(&mut spec, window, |i| pattern == 0 || !(i + 1).is_multiple_of(pattern));
        }
    }
    let parameters = config.object("rope_parameters")?;
    let kind = |name| match parameters {
        Some(parameters) => parameters.object(name),
        None => Ok(None),
    };
    let head_dim = spec.attention.head_dim;
    let (full, local) = (kind("full_attention")?, kind("sliding_attention")?);
    if let (Some(full), Some(local)) = (full, local) {
        let full = rope::from_parameters(&full, config, head_dim)?;
        spec.ropes = vec![full, rope::from_parameters(&local, config, head_dim)?];
    } else {
        // Older files: no field means a million.
        if !config.has("rope_theta") && parameters.is_none() {
            spec.ropes[0].theta = 1e6;
        }
        let theta = config.positive("rope_local_base_freq")?.unwrap_or(10_000.0);
        local_rope(&mut spec, theta);
    }
    choose_ropes(&mut spec);
    Ok(spec)
}

/// Adds a rotation for layers with a window.
fn local_rope(spec: &mut DecoderSpec, theta: f32) {
    let local =
        crate::spec::RopeSpec { theta, scaling: RopeScaling::None, ..spec.ropes[0].clone() };
    spec.ropes.truncate(1);
    spec.ropes.push(local);
}

fn choose_ropes(spec: &mut DecoderSpec) {
    for layer in &mut spec.layers {
        layer.rope = Some(usize::from(layer.window.is_some()));
    }
}

/// The largest ones divide by the width of heads that would fill the hidden size.
fn gguf_scale(spec: &mut DecoderSpec, largest: usize) {
    if spec.layers.len() == largest {
        let width = spec.hidden_size / spec.attention.num_heads.max(1);
        spec.attention.scale = 1.0 / (width as f32).sqrt();
    }
}

fn gemma2_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Half)?;
    shape(&mut spec);
    gguf_scale(&mut spec, 46);
    spec.attention.softcap = Some(file.keys.positive("attn_logit_softcapping")?.unwrap_or(50.0));
    spec.head.softcap = Some(file.keys.positive("final_logit_softcapping")?.unwrap_or(30.0));
    let window = file.get("sliding_window")?.or(Some(4096));
    set_windows(&mut spec, window, |i| i.is_multiple_of(2));
    Ok(spec)
}

fn gemma3_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Half)?;
    shape(&mut spec);
    gguf_scale(&mut spec, 62);
    let window = file.get("sliding_window")?;
    set_windows(&mut spec, window, |i| !(i + 1).is_multiple_of(6));
    local_rope(&mut spec, 10_000.0);
    choose_ropes(&mut spec);
    Ok(spec)
}
