//! Qwen 2, 2.5 and 3, dense and as mixtures of experts.
//!
//! Sources: transformers' `modeling_qwen2.py`, `modeling_qwen2_moe.py`, `modeling_qwen3.py`,
//! `modeling_qwen3_moe.py`.

use super::{
    Family,
    base::{Defaults, LayerType, from_config, layer_types, set_windows},
    config::Config,
    experts,
    gguf::{self, Gguf},
    names::{ATTENTION, EPS, EXPERTS, GATED, LLAMA, Names, PRE_NORMS, TOP},
    unchanged,
};
use engine_weights::Fault;

use crate::spec::{DecoderSpec, NormKind, QkNormOver, QkNormSpec, RopeStyle, RouterScore};

const MOE: Names = Names {
    layers: "model.layers.",
    top: TOP,
    roles: &[
        PRE_NORMS,
        ATTENTION,
        GATED,
        EXPERTS,
        &[
            ("mlp.shared_expert.gate_proj", "ffn_gate_shexp"),
            ("mlp.shared_expert.up_proj", "ffn_up_shexp"),
            ("mlp.shared_expert.down_proj", "ffn_down_shexp"),
            ("mlp.shared_expert_gate", "ffn_gate_inp_shexp"),
        ],
    ],
    // By its names over time.
    fields: &[EPS, ("num_experts", &["num_experts", "num_local_experts"])],
};

pub(super) const FAMILIES: [Family; 4] = [
    Family {
        architectures: &["Qwen2ForCausalLM"],
        from_config: qwen2,
        names: &LLAMA,
        reform: unchanged,
        gguf: &["qwen2"],
        gguf_reform: unchanged,
        from_gguf: dense_gguf,
    },
    Family {
        architectures: &["Qwen3ForCausalLM"],
        from_config: qwen3,
        names: &LLAMA,
        reform: unchanged,
        gguf: &["qwen3"],
        gguf_reform: unchanged,
        from_gguf: dense_gguf,
    },
    Family {
        architectures: &["Qwen2MoeForCausalLM"],
        from_config: qwen2_moe,
        names: &MOE,
        reform: experts::shared_gate,
        gguf: &["qwen2moe"],
        gguf_reform: experts::shared_gate,
        from_gguf: qwen2_moe_gguf,
    },
    Family {
        architectures: &["Qwen3MoeForCausalLM"],
        from_config: qwen3_moe,
        names: &MOE,
        reform: unchanged,
        gguf: &["qwen3moe"],
        gguf_reform: unchanged,
        from_gguf: dense_gguf,
    },
];

fn qwen2(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let defaults = Defaults { kv_heads: Some(32), ..Defaults::LLAMA };
    let mut spec = from_config(config, "qwen2", &defaults)?;
    spec.attention.bias = true;
    windows(config, &mut spec)?;
    Ok(spec)
}

/// The window counts only if the configuration says that it is used, and from some layer on.
fn windows(config: &Config<'_>, spec: &mut DecoderSpec) -> Result<(), Fault> {
    if !config.get("use_sliding_window")?.unwrap_or(false) {
        return Ok(());
    }
    let window = config.get("sliding_window")?;
    match layer_types(config, spec.layers.len())? {
        Some(types) => set_windows(spec, window, |i| types[i] == LayerType::Sliding),
        None => {
            let first = config.get("max_window_layers")?.unwrap_or(28);
            set_windows(spec, window, |i| i >= first);
        }
    }
    Ok(())
}

fn qwen3(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let defaults = Defaults { kv_heads: Some(32), ..Defaults::LLAMA };
    let mut spec = from_config(config, "qwen3", &defaults)?;
    spec.attention.bias = config.get("attention_bias")?.unwrap_or(false);
    spec.attention.output_bias = spec.attention.bias;
    spec.attention.qk_norm = Some(head_norm(&spec));
    windows(config, &mut spec)?;
    Ok(spec)
}

fn head_norm(spec: &DecoderSpec) -> QkNormSpec {
    QkNormSpec { kind: NormKind::Rms, over: QkNormOver::Head, eps: spec.norm.eps }
}

/// Which layers are mixtures: every `decoder_sparse_step`-th, but for those that are listed.
fn sparse_layers(config: &Config<'_>, spec: &mut DecoderSpec) -> Result<(), Fault> {
    let step = config.get("decoder_sparse_step")?.unwrap_or(1_usize);
    let dense: Vec<usize> = config.get("mlp_only_layers")?.unwrap_or_default();
    for (i, layer) in spec.layers.iter_mut().enumerate() {
        layer.experts = step > 0 && (i + 1).is_multiple_of(step) && !dense.contains(&i);
    }
    Ok(())
}

fn qwen2_moe(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let defaults = Defaults { kv_heads: Some(16), ..Defaults::LLAMA };
    let mut spec = from_config(config, "qwen2_moe", &defaults)?;
    spec.attention.bias = config.get("qkv_bias")?.unwrap_or(true);
    windows(config, &mut spec)?;
    let mut mixture = experts::from_config(config, &spec, RouterScore::Softmax)?;
    mixture.router.normalize = config.get("norm_topk_prob")?.unwrap_or(false);
    mixture.shared_width = Some(config.require("shared_expert_intermediate_size")?);
    mixture.shared_gate = true;
    spec.experts = Some(mixture);
    sparse_layers(config, &mut spec)?;
    Ok(spec)
}

fn qwen3_moe(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let defaults = Defaults { kv_heads: Some(4), ..Defaults::LLAMA };
    let mut spec = from_config(config, "qwen3_moe", &defaults)?;
    spec.attention.bias = config.get("attention_bias")?.unwrap_or(false);
    spec.attention.output_bias = spec.attention.bias;
    spec.attention.qk_norm = Some(head_norm(&spec));
    windows(config, &mut spec)?;
    let mut mixture = experts::from_config(config, &spec, RouterScore::Softmax)?;
    mixture.router.normalize = config.get("norm_topk_prob")?.unwrap_or(false);
    spec.experts = Some(mixture);
    sparse_layers(config, &mut spec)?;
    Ok(spec)
}

fn dense_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    gguf::from_gguf(file, RopeStyle::Half)
}

fn qwen2_moe_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Half)?;
    if let Some(experts) = &mut spec.experts {
        experts.router.normalize = file.get("expert_weights_norm")?.unwrap_or(false);
    }
    Ok(spec)
}
