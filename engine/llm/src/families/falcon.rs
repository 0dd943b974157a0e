//! Falcon (7B, 40B, 180B, and 11B); Falcon 3 is a Llama.
//!
//! Sources: transformers' `modeling_falcon.py`; llama.cpp's `convert_hf_to_gguf.py`.

use super::{
    Family,
    base::{Sizes, activation, divide_heads, llama_shaped},
    config::Config,
    gguf::{self, Gguf},
    names::Names,
    rope,
};
use engine_weights::{Fault, Size};

use crate::{
    spec::{Activation, BlockSpec, DecoderSpec, NormKind, NormSpec, RopeStyle},
    weights::{Tensor, WeightsError},
};

pub(super) const FAMILIES: [Family; 1] = [Family {
    architectures: &["FalconForCausalLM"],
    from_config: falcon,
    names: &Names {
        layers: "transformer.h.",
        top: &[
            ("transformer.word_embeddings", "token_embd"),
            ("transformer.ln_f", "output_norm"),
            ("lm_head", "output"),
        ],
        roles: &[&[
            ("input_layernorm", "attn_norm"),
            ("ln_attn", "attn_norm"),
            ("ln_mlp", "ffn_norm"),
            ("post_attention_layernorm", "ffn_norm"),
            ("self_attention.query_key_value", "attn_qkv"),
            ("self_attention.dense", "attn_output"),
            ("mlp.dense_h_to_4h", "ffn_up"),
            ("mlp.dense_4h_to_h", "ffn_down"),
        ]],
        fields: &[
            ("num_key_value_heads", &["num_kv_heads"]),
            ("intermediate_size", &["ffn_hidden_size"]),
            ("rms_norm_eps", &["layer_norm_epsilon"]),
            ("hidden_act", &["activation"]),
        ],
    },
    reform: by_kind,
    gguf: &["falcon"],
    gguf_reform: norms,
    from_gguf: falcon_gguf,
}];

fn falcon(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    config.only("alibi", false)?;
    let (hidden, heads) = (config.require("hidden_size")?, config.require("num_attention_heads")?);
    let new = config.get("new_decoder_architecture")?.unwrap_or(false);
    let kv_heads = match (new, config.get("multi_query")?.unwrap_or(true)) {
        (true, _) => config.get("num_key_value_heads")?.unwrap_or(heads),
        (false, true) => 1,
        (false, false) => heads,
    };
    let head_dim = divide_heads(config, hidden, heads)?;
    let sizes = Sizes {
        vocab: config.require("vocab_size")?,
        hidden,
        layers: config.require("num_hidden_layers")?,
        heads,
        kv_heads,
        head_dim,
        width: config.get("intermediate_size")?.unwrap_or(hidden.saturating_mul(4)),
        max_len: config.get("max_position_embeddings")?.unwrap_or(2048),
        eps: 0.0,
    };
    let rope = rope::from_config(config, head_dim, 1.0)?;
    let mut spec = llama_shaped(config, "falcon", &sizes, Some(rope))?;
    let eps = config.get("rms_norm_eps")?.unwrap_or(1e-5);
    spec.norm = NormSpec { kind: NormKind::Layer, eps, bias: true };
    let bias = config.get("bias")?.unwrap_or(false);
    spec.attention.bias = bias;
    spec.attention.output_bias = bias;
    spec.feed_forward.bias = bias;
    spec.feed_forward.gated = false;
    let function = activation(config, "hidden_act")?;
    spec.feed_forward.activation = function.unwrap_or(Activation::Gelu);
    let norms = config.get("num_ln_in_parallel_attn")?.unwrap_or(if new { 2 } else { 1 });
    spec.block = match (new || config.get("parallel_attn")?.unwrap_or(true), norms) {
        (false, _) => BlockSpec::PreNorm,
        (true, 2) if new => BlockSpec::ParallelTwoNorms,
        (true, _) => BlockSpec::Parallel,
    };
    spec.head.tied = config.get("tie_word_embeddings")?.unwrap_or(true);
    Ok(spec)
}

fn falcon_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Half)?;
    spec.feed_forward.activation = Activation::Gelu;
    let two = file.has("attn_norm_2.weight");
    spec.block = if two { BlockSpec::ParallelTwoNorms } else { BlockSpec::Parallel };
    Ok(spec)
}

/// Where there are two norms, llama.cpp calls that of attention the second.
fn norms(spec: &DecoderSpec, tensor: Tensor) -> Result<Vec<Tensor>, WeightsError> {
    let name = tensor.name();
    let name = match spec.block {
        BlockSpec::ParallelTwoNorms if name.contains(".attn_norm_2.") => {
            name.replace(".attn_norm_2.", ".attn_norm.")
        }
        BlockSpec::ParallelTwoNorms => name.replace(".attn_norm.", ".ffn_norm."),
        _ => name.to_owned(),
    };
    Ok(vec![tensor.renamed(name)])
}

/// Files of transformers hold the queries of a group, its key and its value, group by group.
fn by_kind(spec: &DecoderSpec, tensor: Tensor) -> Result<Vec<Tensor>, WeightsError> {
    let name = tensor.name().to_owned();
    if !name.contains(".attn_qkv.") {
        return Ok(vec![tensor]);
    }
    let (groups, dim) = (spec.attention.num_kv_heads, spec.attention.head_dim);
    let per_group = spec.attention.num_heads / groups;
    let by = &["num_attention_heads", "num_key_value_heads"];
    tensor.check_outer(Size { num: groups * (per_group + 2) * dim, by })?;
    let heads = |kind: usize| {
        // Queries, then keys, then values.
        let (first, num) = [(0, per_group), (per_group, 1), (per_group + 1, 1)][kind];
        (0..groups).flat_map(move |group| {
            (first..first + num).map(move |head| group * (per_group + 2) + head)
        })
    };
    let order = (0..3).flat_map(heads).flat_map(|head| (0..dim).map(move |i| head * dim + i));
    Ok(vec![tensor.in_order(&name, order)?])
}
