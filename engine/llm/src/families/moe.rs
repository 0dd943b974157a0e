//! Families that are mixtures of experts first of all: Mixtral and gpt-oss.
//!
//! Sources: transformers' `modeling_mixtral.py` and `modeling_gpt_oss.py`; llama.cpp's
//! `convert_hf_to_gguf.py`.

use kernels::quant::DType;

use super::{
    Family,
    base::{Defaults, LayerType, from_config, layer_types, set_windows},
    config::Config,
    experts,
    gguf::{self, Gguf},
    names::{ATTENTION, Names, PRE_NORMS, TOP},
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
    let mixture =
        experts::from_config(config, &spec, &["num_local_experts"], RouterScore::Softmax)?;
    spec.experts = Some(mixture);
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
    let limit = config.get("swiglu_limit")?.unwrap_or(LIMIT);
    spec.feed_forward.activation = Activation::ClampedSwiglu { limit };
    let window = config.get("sliding_window")?.or(Some(128));
    match layer_types(config, spec.layers.len())? {
        Some(types) => set_windows(&mut spec, window, |i| types[i] == LayerType::Sliding),
        None => set_windows(&mut spec, window, |i| i.is_multiple_of(2)),
    }
    let mut mixture =
        experts::from_config(config, &spec, &["num_local_experts"], RouterScore::Softmax)?;
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
    let window = file.get("attention.sliding_window")?;
    set_windows(&mut spec, window, |i| i.is_multiple_of(2));
    Ok(spec)
}

/// What llama.cpp calls a norm after attention is the one before the feed-forward layer.
fn gpt_oss_norm(_: &DecoderSpec, tensor: Tensor) -> Result<Vec<Tensor>, WeightsError> {
    let name = tensor.name().replace("post_attention_norm", "ffn_norm");
    Ok(vec![tensor.renamed(name)])
}

/// Files of transformers hold all experts' gates and what they gate in turn, for multiplying from
/// the other side, but for those in MXFP4, which are as they are here.
fn gpt_oss_experts(spec: &DecoderSpec, tensor: Tensor) -> Result<Vec<Tensor>, WeightsError> {
    let Some((layer, role, suffix)) = super::split::parse(tensor.name()) else {
        return Ok(vec![tensor]);
    };
    let Some(experts) = &spec.experts else { return Ok(vec![tensor]) };
    let name = |role: &str, i: usize| format!("blk.{layer}.{role}.{i}.{suffix}");
    let (width, hidden) = (experts.expert.width, spec.hidden_size);
    let matrix = suffix == "weight";
    let turned = matrix && tensor.dtype() != DType::MXFP4;
    let mut parts = Vec::new();
    match role {
        "ffn_gate_up_exps" => {
            let one = match (matrix, turned) {
                (true, true) => vec![hidden, 2 * width],
                (true, false) => vec![2 * width, hidden],
                (false, _) => vec![2 * width],
            };
            tensor.check_shape(&[vec![experts.num_experts], one].concat())?;
            for i in 0..experts.num_experts {
                let both = tensor.element(tensor.name(), i)?;
                let both = if turned { both.transposed(tensor.name())? } else { both };
                for (role, first) in [("ffn_gate", 0), ("ffn_up", 1)] {
                    let rows = (0..width).map(|row| 2 * row + first);
                    parts.push(both.in_order(&name(role, i), rows)?);
                }
            }
        }
        "ffn_down_exps" => {
            let one = match (matrix, turned) {
                (true, true) => vec![width, hidden],
                (true, false) => vec![hidden, width],
                (false, _) => vec![hidden],
            };
            tensor.check_shape(&[vec![experts.num_experts], one].concat())?;
            for i in 0..experts.num_experts {
                let one = tensor.element(&name("ffn_down", i), i)?;
                parts.push(if turned { one.transposed(&name("ffn_down", i))? } else { one });
            }
        }
        _ => return Ok(vec![tensor]),
    }
    Ok(parts)
}
