//! Families that are mixtures of experts first of all: Mixtral and gpt-oss.
//!
//! Sources: transformers' `modeling_mixtral.py` and `modeling_gpt_oss.py`; llama.cpp's
//! `convert_hf_to_gguf.py`.

use super::{
    Family,
    base::{Defaults, LayerType, from_config, layer_types, set_windows},
    config::Config,
    experts::{self, Fused},
    gguf::{self, Gguf},
    names::{ATTENTION, LOCAL_EXPERTS, Names, PRE_NORMS, TOP},
    unchanged,
};
use engine_weights::Fault;

use crate::{
    spec::{Activation, DecoderSpec, RopeScaling, RopeStyle, RouterScore},
    weights::{Tensor, WeightsError},
};

pub(super) const FAMILIES: [Family; 2] = [
    Family {
        architectures: &["MixtralForCausalLM"],
        from_config: mixtral,
        names: &Names {
            layers: "model.layers.",
            top: TOP,
            roles: &[
                PRE_NORMS,
                ATTENTION,
                &[
                    ("block_sparse_moe.gate", "ffn_gate_inp"),
                    ("block_sparse_moe.experts.*.w1", "ffn_gate.*"),
                    ("block_sparse_moe.experts.*.w3", "ffn_up.*"),
                    ("block_sparse_moe.experts.*.w2", "ffn_down.*"),
                ],
            ],
            fields: LOCAL_EXPERTS,
        },
        reform: unchanged,
        // Its GGUF files call themselves "llama".
        gguf: &[],
        gguf_reform: unchanged,
        from_gguf: gpt_oss_gguf,
    },
    Family {
        architectures: &["GptOssForCausalLM"],
        from_config: gpt_oss,
        names: &Names {
            layers: "model.layers.",
            top: TOP,
            roles: &[
                PRE_NORMS,
                ATTENTION,
                &[
                    ("self_attn.sinks", "attn_sinks.weight"),
                    ("mlp.router", "ffn_gate_inp"),
                    ("mlp.experts.gate_up_proj", "ffn_gate_up_exps.weight"),
                    ("mlp.experts.gate_up_proj_bias", "ffn_gate_up_exps.bias"),
                    ("mlp.experts.down_proj", "ffn_down_exps.weight"),
                    ("mlp.experts.down_proj_bias", "ffn_down_exps.bias"),
                ],
            ],
            fields: LOCAL_EXPERTS,
        },
        reform: gpt_oss_experts,
        gguf: &["gpt-oss"],
        gguf_reform: gpt_oss_norm,
        from_gguf: gpt_oss_gguf,
    },
];

fn mixtral(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let defaults = Defaults { kv_heads: Some(8), eps: 1e-5, ..Defaults::LLAMA };
    let mut spec = from_config(config, "mixtral", &defaults)?;
    let window = config.get("sliding_window")?;
    set_windows(&mut spec, window, |_| true);
    spec.experts = Some(experts::from_config(config, &spec, RouterScore::Softmax)?);
    spec.layers.iter_mut().for_each(|layer| layer.experts = true);
    Ok(spec)
}

/// The limit of gpt-oss's gates, which its configuration may not say.
const LIMIT: f32 = 7.0;

fn gpt_oss(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let defaults = Defaults { kv_heads: Some(8), eps: 1e-5, ..Defaults::LLAMA };
    let mut spec = from_config(config, "gpt-oss", &defaults)?;
    spec.attention.bias = config.get("attention_bias")?.unwrap_or(true);
    spec.attention.output_bias = spec.attention.bias;
    spec.attention.sinks = true;
    let limit = config.positive("swiglu_limit")?.unwrap_or(LIMIT);
    spec.feed_forward.activation = Activation::ClampedSwiglu { limit };
    let window = config.get("sliding_window")?.or(Some(128));
    match layer_types(config, spec.layers.len())? {
        Some(types) => set_windows(&mut spec, window, |i| types[i] == LayerType::Sliding),
        None => set_windows(&mut spec, window, |i| i.is_multiple_of(2)),
    }
    let mut mixture = experts::from_config(config, &spec, RouterScore::Softmax)?;
    mixture.router.bias = true;
    mixture.expert.bias = true;
    spec.experts = Some(mixture);
    spec.layers.iter_mut().for_each(|layer| layer.experts = true);
    Ok(spec)
}

fn gpt_oss_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Half)?;
    let activation = Activation::ClampedSwiglu { limit: LIMIT };
    spec.feed_forward.activation = activation;
    if let Some(experts) = &mut spec.experts {
        experts.expert.activation = activation;
    }
    // Its configuration says so, which GGUF files have no field for.
    for rope in &mut spec.ropes {
        if let RopeScaling::Yarn(yarn) = &mut rope.scaling {
            yarn.truncate = false;
        }
    }
    let window = file.get("sliding_window")?;
    set_windows(&mut spec, window, |i| i.is_multiple_of(2));
    Ok(spec)
}

/// What llama.cpp calls a norm after attention is the one before the feed-forward layer.
fn gpt_oss_norm(_: &DecoderSpec, tensor: Tensor) -> Result<Vec<Tensor>, WeightsError> {
    let name = tensor.name().replace("post_attention_norm", "ffn_norm");
    Ok(vec![tensor.renamed(name)])
}

fn gpt_oss_experts(spec: &DecoderSpec, tensor: Tensor) -> Result<Vec<Tensor>, WeightsError> {
    experts::fused(spec, tensor, Fused::InTurn)
}
