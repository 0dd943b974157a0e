//! Families that differ from Llama in where norms stand and of what kind they are: StableLM,
//! OLMo 2, Command-R.
//!
//! Sources: transformers' `modeling_stablelm.py`, `modeling_olmo2.py`, `modeling_cohere.py`,
//! `modeling_cohere2.py`; llama.cpp's `convert_hf_to_gguf.py`.

use super::{
    Family,
    base::{Defaults, LayerType, from_config, layer_types, set_windows},
    config::Config,
    gguf::{self, Gguf},
    names::{ATTENTION, FIELDS, GATED, LLAMA, Names, PRE_NORMS, TOP},
    unchanged,
};
use engine_weights::Fault;

use crate::spec::{BlockSpec, DecoderSpec, NormKind, QkNormOver, QkNormSpec, RopeStyle};

pub(super) const FAMILIES: [Family; 4] = [
    Family {
        architectures: &["StableLmForCausalLM"],
        from_config: stablelm,
        names: &Names {
            layers: "model.layers.",
            top: TOP,
            roles: &[
                PRE_NORMS,
                ATTENTION,
                GATED,
                &[
                    ("self_attn.q_layernorm.norms.*", "attn_q_norm.*"),
                    ("self_attn.k_layernorm.norms.*", "attn_k_norm.*"),
                ],
            ],
            fields: FIELDS,
        },
        reform: unchanged,
        gguf: &["stablelm"],
        gguf_reform: unchanged,
        from_gguf: stablelm_gguf,
    },
    Family {
        architectures: &["Olmo2ForCausalLM"],
        from_config: olmo2,
        names: &Names {
            layers: "model.layers.",
            top: TOP,
            roles: &[
                ATTENTION,
                GATED,
                &[
                    ("post_attention_layernorm", "post_attention_norm"),
                    ("post_feedforward_layernorm", "post_ffw_norm"),
                ],
            ],
            fields: FIELDS,
        },
        reform: unchanged,
        gguf: &["olmo2"],
        gguf_reform: unchanged,
        from_gguf: olmo2_gguf,
    },
    Family {
        architectures: &["CohereForCausalLM"],
        from_config: command_r,
        names: &LLAMA,
        reform: unchanged,
        gguf: &["command-r"],
        gguf_reform: unchanged,
        from_gguf: command_r_gguf,
    },
    Family {
        architectures: &["Cohere2ForCausalLM"],
        from_config: command_r7b,
        names: &LLAMA,
        reform: unchanged,
        gguf: &["cohere2"],
        gguf_reform: unchanged,
        from_gguf: command_r7b_gguf,
    },
];

fn stablelm(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let defaults = Defaults { eps: 1e-5, rotated: 0.25, ..Defaults::LLAMA };
    let mut spec = from_config(config, "stablelm", &defaults)?;
    spec.norm.kind = NormKind::Layer;
    spec.norm.bias = true;
    spec.attention.bias = config.get("use_qkv_bias")?.unwrap_or(false);
    if config.get("qk_layernorm")?.unwrap_or(false) {
        spec.attention.qk_norm = Some(each_head(spec.norm.eps));
    }
    if config.get("use_parallel_residual")?.unwrap_or(false) {
        spec.block = BlockSpec::Parallel;
    }
    Ok(spec)
}

fn each_head(eps: f32) -> QkNormSpec {
    QkNormSpec { kind: NormKind::Layer, over: QkNormOver::EachHead, eps }
}

fn stablelm_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Half)?;
    if !file.has("ffn_norm.weight") {
        spec.block = BlockSpec::Parallel;
    }
    Ok(spec)
}

fn olmo2(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let defaults = Defaults { eps: 1e-5, ..Defaults::LLAMA };
    let mut spec = from_config(config, "olmo2", &defaults)?;
    spec.attention.bias = config.get("attention_bias")?.unwrap_or(false);
    spec.attention.output_bias = spec.attention.bias;
    let over = QkNormOver::All;
    spec.attention.qk_norm = Some(QkNormSpec { kind: NormKind::Rms, over, eps: spec.norm.eps });
    spec.block = BlockSpec::PostNorm;
    Ok(spec)
}

fn olmo2_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Half)?;
    spec.block = BlockSpec::PostNorm;
    if let Some(norm) = &mut spec.attention.qk_norm {
        norm.over = QkNormOver::All;
    }
    let window = file.get("sliding_window")?.filter(|size| *size > 0);
    set_windows(&mut spec, window, |i| !(i + 1).is_multiple_of(4));
    Ok(spec)
}

/// Layer norms without biases, both branches beside each other, neighbours rotated.
fn cohere_shape(spec: &mut DecoderSpec) {
    spec.norm.kind = NormKind::Layer;
    spec.block = BlockSpec::Parallel;
    spec.ropes.iter_mut().for_each(|rope| rope.style = RopeStyle::Interleaved);
}

fn cohere(config: &Config<'_>, family: &str) -> Result<DecoderSpec, Fault> {
    let defaults = Defaults { eps: 1e-5, tied: true, ..Defaults::LLAMA };
    let mut spec = from_config(config, family, &defaults)?;
    cohere_shape(&mut spec);
    spec.attention.bias = config.get("attention_bias")?.unwrap_or(false);
    spec.attention.output_bias = spec.attention.bias;
    spec.head.scale = config.positive("logit_scale")?.unwrap_or(0.0625);
    Ok(spec)
}

fn command_r(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = cohere(config, "command-r")?;
    if config.get("use_qk_norm")?.unwrap_or(false) {
        spec.attention.qk_norm = Some(each_head(spec.norm.eps));
    }
    Ok(spec)
}

fn command_r_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Interleaved)?;
    cohere_shape(&mut spec);
    spec.head.scale = file.keys.positive("logit_scale")?.unwrap_or(0.0625);
    Ok(spec)
}

/// Only layers with a window know positions.
fn slide(spec: &mut DecoderSpec, window: Option<usize>, slides: impl Fn(usize) -> bool) {
    set_windows(spec, window, &slides);
    for (i, layer) in spec.layers.iter_mut().enumerate() {
        layer.rope = layer.rope.filter(|_| slides(i));
    }
}

fn command_r7b(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = cohere(config, "cohere2")?;
    let window = config.get("sliding_window")?.or(Some(4096));
    match layer_types(config, spec.layers.len())? {
        Some(types) => slide(&mut spec, window, |i| types[i] == LayerType::Sliding),
        None => {
            let pattern = config.get("sliding_window_pattern")?.unwrap_or(4_usize);
            slide(&mut spec, window, |i| pattern == 0 || !(i + 1).is_multiple_of(pattern));
        }
    }
    Ok(spec)
}

fn command_r7b_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = command_r_gguf(file)?;
    let window = file.get("sliding_window")?;
    slide(&mut spec, window, |i| !(i + 1).is_multiple_of(4));
    Ok(spec)
}
