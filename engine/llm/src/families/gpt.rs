//! GPT-2 and GPT-NeoX (Pythia).
//!
//! Sources: transformers' `modeling_gpt2.py` and `modeling_gpt_neox.py`; llama.cpp's
//! `convert_hf_to_gguf.py`.

use super::{
    Family,
    base::{Sizes, activation, divide_heads, llama_shaped},
    config::Config,
    gguf::{self, Gguf},
    names::Names,
    rope, unchanged,
};
use engine_weights::{Fault, Size};

use crate::{
    spec::{Activation, BlockSpec, DecoderSpec, NormKind, NormSpec, RopeStyle},
    weights::{Tensor, WeightsError},
};

pub(super) const FAMILIES: [Family; 2] = [
    Family {
        architectures: &["GPT2LMHeadModel"],
        from_config: gpt2,
        names: &Names {
            layers: "transformer.h.",
            top: &[
                ("transformer.wte", "token_embd"),
                ("transformer.wpe", "position_embd"),
                ("transformer.ln_f", "output_norm"),
                ("lm_head", "output"),
            ],
            roles: &[&[
                ("ln_1", "attn_norm"),
                ("attn.c_attn", "attn_qkv"),
                ("attn.c_proj", "attn_output"),
                ("ln_2", "ffn_norm"),
                ("mlp.c_fc", "ffn_up"),
                ("mlp.c_proj", "ffn_down"),
            ]],
            fields: &[
                ("hidden_size", &["n_embd"]),
                ("num_hidden_layers", &["n_layer"]),
                ("num_attention_heads", &["n_head"]),
                ("num_key_value_heads", &["n_head"]),
                ("intermediate_size", &["n_inner"]),
                ("max_position_embeddings", &["n_positions"]),
                ("rms_norm_eps", &["layer_norm_epsilon"]),
                ("hidden_act", &["activation_function"]),
            ],
        },
        reform: turned_over,
        gguf: &["gpt2"],
        gguf_reform: unchanged,
        from_gguf: gpt2_gguf,
    },
    Family {
        architectures: &["GPTNeoXForCausalLM"],
        from_config: neox,
        names: &Names {
            layers: "gpt_neox.layers.",
            top: &[
                ("gpt_neox.embed_in", "token_embd"),
                ("gpt_neox.final_layer_norm", "output_norm"),
                ("embed_out", "output"),
            ],
            roles: &[&[
                ("input_layernorm", "attn_norm"),
                ("attention.query_key_value", "attn_qkv"),
                ("attention.dense", "attn_output"),
                ("post_attention_layernorm", "ffn_norm"),
                ("mlp.dense_h_to_4h", "ffn_up"),
                ("mlp.dense_4h_to_h", "ffn_down"),
            ]],
            fields: &[
                ("num_key_value_heads", &["num_attention_heads"]),
                ("rms_norm_eps", &["layer_norm_eps"]),
                ("rope_theta", &["rope_theta", "rotary_emb_base"]),
                ("partial_rotary_factor", &["partial_rotary_factor", "rotary_pct"]),
            ],
        },
        reform: by_kind,
        gguf: &["gptneox"],
        gguf_reform: unchanged,
        from_gguf: neox_gguf,
    },
];

/// Layer norms and biases everywhere, a feed-forward layer without a gate.
fn with_biases(spec: &mut DecoderSpec, eps: f32) {
    spec.norm = NormSpec { kind: NormKind::Layer, eps, bias: true };
    spec.attention.bias = true;
    spec.attention.output_bias = true;
    spec.feed_forward.bias = true;
    spec.feed_forward.gated = false;
}

fn gpt2(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    config.only("scale_attn_weights", true)?;
    config.only("scale_attn_by_inverse_layer_idx", false)?;
    config.only("add_cross_attention", false)?;
    let (hidden, heads) = (config.require("hidden_size")?, config.require("num_attention_heads")?);
    let sizes = Sizes {
        vocab: config.require("vocab_size")?,
        hidden,
        layers: config.require("num_hidden_layers")?,
        heads,
        kv_heads: heads,
        head_dim: divide_heads(config, hidden, heads)?,
        width: config.get("intermediate_size")?.unwrap_or(hidden.saturating_mul(4)),
        max_len: config.require("max_position_embeddings")?,
        eps: 0.0,
    };
    let mut spec = llama_shaped(config, "gpt2", &sizes, None)?;
    with_biases(&mut spec, config.get("rms_norm_eps")?.unwrap_or(1e-5));
    let function = activation(config, "hidden_act")?;
    spec.feed_forward.activation = function.unwrap_or(Activation::GeluTanh);
    spec.embedding.learned_positions = Some(sizes.max_len);
    spec.head.tied = config.get("tie_word_embeddings")?.unwrap_or(true);
    Ok(spec)
}

fn gpt2_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    gguf::from_gguf(file, RopeStyle::Half)
}

/// GPT-2's files hold matrices for multiplying from the other side.
fn turned_over(_: &DecoderSpec, tensor: Tensor) -> Result<Vec<Tensor>, WeightsError> {
    let name = tensor.name().to_owned();
    let linear = name.starts_with("blk.") && tensor.shape().len() == 2;
    Ok(vec![if linear { tensor.transposed(&name)? } else { tensor }])
}

fn neox(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let (hidden, heads) = (config.require("hidden_size")?, config.require("num_attention_heads")?);
    let head_dim = divide_heads(config, hidden, heads)?;
    let sizes = Sizes {
        vocab: config.require("vocab_size")?,
        hidden,
        layers: config.require("num_hidden_layers")?,
        heads,
        kv_heads: heads,
        head_dim,
        width: config.require("intermediate_size")?,
        max_len: config.require("max_position_embeddings")?,
        eps: 0.0,
    };
    let rope = rope::from_config(config, head_dim, 0.25)?;
    let mut spec = llama_shaped(config, "gpt_neox", &sizes, Some(rope))?;
    with_biases(&mut spec, config.get("rms_norm_eps")?.unwrap_or(1e-5));
    spec.attention.bias = config.get("attention_bias")?.unwrap_or(true);
    spec.attention.output_bias = spec.attention.bias;
    let function = activation(config, "hidden_act")?;
    spec.feed_forward.activation = function.unwrap_or(Activation::Gelu);
    if config.get("use_parallel_residual")?.unwrap_or(true) {
        spec.block = BlockSpec::ParallelTwoNorms;
    }
    spec.head.tied = config.get("tie_word_embeddings")?.unwrap_or(false);
    Ok(spec)
}

fn neox_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Half)?;
    // As transformers computes it; llama.cpp takes the approximation by tanh.
    spec.feed_forward.activation = Activation::Gelu;
    if file.get("use_parallel_residual")?.unwrap_or(true) {
        spec.block = BlockSpec::ParallelTwoNorms;
    }
    Ok(spec)
}

/// GPT-NeoX's files hold query, key and value of one head after another; here all queries come
/// first.
fn by_kind(spec: &DecoderSpec, tensor: Tensor) -> Result<Vec<Tensor>, WeightsError> {
    let name = tensor.name().to_owned();
    if ["attention.bias", "masked_bias"].iter().any(|end| name.ends_with(end)) {
        return Ok(Vec::new());
    }
    if !name.contains(".attn_qkv.") {
        return Ok(vec![tensor]);
    }
    let (heads, dim) = (spec.attention.num_heads, spec.attention.head_dim);
    tensor.check_outer(Size { num: 3 * heads * dim, by: &["num_attention_heads", "head_dim"] })?;
    let order = (0..3).flat_map(|kind| {
        (0..heads).flat_map(move |head| (0..dim).map(move |i| (head * 3 + kind) * dim + i))
    });
    Ok(vec![tensor.in_order(&name, order)?])
}
