//! The Llama family: Llama 2 and 3, SmolLM2, Mistral, and what is published in their form.
//!
//! Sources: transformers' `modeling_llama.py` and `modeling_mistral.py`; llama.cpp's
//! `convert_hf_to_gguf.py` for names and keys of GGUF files.

use super::{config::Config, rope};
use crate::{
    error::Fault,
    spec::DecoderSpec,
    weights::{Metadata, Tensor},
};

/// Which class of transformers the configuration is for; their defaults differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `LlamaForCausalLM`: may have biases.
    Llama,
    /// `MistralForCausalLM`: may have a sliding window.
    Mistral,
}

/// Reads a `config.json`.
pub(super) fn from_config(config: &Config<'_>, kind: Kind) -> Result<DecoderSpec, Fault> {
    config.only("hidden_act", "silu".to_owned())?;
    config.only("mlp_bias", false)?;
    let hidden_size: usize = config.require("hidden_size")?;
    let num_heads = config.require("num_attention_heads")?;
    let head_dim = match config.get("head_dim")? {
        Some(head_dim) => head_dim,
        None => divide_heads("num_attention_heads", hidden_size, num_heads)?,
    };
    let (default_kv_heads, sliding_window) = match kind {
        Kind::Llama => (num_heads, None),
        // A window that is not mentioned has the default size; `null` means none.
        Kind::Mistral if config.0.contains_key("sliding_window") => {
            (8, config.get("sliding_window")?)
        }
        Kind::Mistral => (8, Some(4096)),
    };
    let attention_bias = kind == Kind::Llama && config.get("attention_bias")?.unwrap_or(false);
    Ok(DecoderSpec {
        family: match kind {
            Kind::Llama => "llama".into(),
            Kind::Mistral => "mistral".into(),
        },
        vocab_size: config.require("vocab_size")?,
        hidden_size,
        num_layers: config.require("num_hidden_layers")?,
        num_heads,
        num_kv_heads: config.get("num_key_value_heads")?.unwrap_or(default_kv_heads),
        head_dim,
        intermediate_size: config.require("intermediate_size")?,
        max_model_len: config.require("max_position_embeddings")?,
        norm_eps: config.get("rms_norm_eps")?.unwrap_or(1e-6),
        rope: rope::from_config(config, head_dim)?,
        sliding_window,
        attention_bias,
        attention_output_bias: attention_bias,
        tie_word_embeddings: config.get("tie_word_embeddings")?.unwrap_or(false),
    })
}

/// Reads the `llama.*` metadata.
pub(super) fn from_gguf(metadata: &Metadata<'_>, tensors: &[Tensor]) -> Result<DecoderSpec, Fault> {
    for (key, only) in [("llama.expert_count", 0), ("split.count", 1)] {
        match metadata.get::<usize>(key)? {
            Some(found) if found > only => {
                return Err(Fault::field(key, format!("{found} is not supported")));
            }
            _ => {}
        }
    }
    let hidden_size = metadata.require("llama.embedding_length")?;
    let num_heads = metadata.require("llama.attention.head_count")?;
    let head_dim = match metadata.get("llama.attention.key_length")? {
        Some(head_dim) => head_dim,
        None => divide_heads("llama.attention.head_count", hidden_size, num_heads)?,
    };
    match metadata.get::<usize>("llama.attention.value_length")? {
        Some(found) if found != head_dim => {
            let what = format!("{found} is not the {head_dim} of keys");
            return Err(Fault::field("llama.attention.value_length", what));
        }
        _ => {}
    }
    let shape = |name: &str| tensors.iter().find(|tensor| tensor.name() == name).map(Tensor::shape);
    let vocab_size = match shape("token_embd.weight") {
        Some([rows, _]) => *rows,
        Some(_) => return Err(Fault::tensor("token_embd.weight", "is not a matrix")),
        None => return Err(Fault::tensor("token_embd.weight", "is missing")),
    };
    Ok(DecoderSpec {
        family: "llama".into(),
        vocab_size,
        hidden_size,
        num_layers: metadata.require("llama.block_count")?,
        num_heads,
        num_kv_heads: metadata.get("llama.attention.head_count_kv")?.unwrap_or(num_heads),
        head_dim,
        intermediate_size: metadata.require("llama.feed_forward_length")?,
        max_model_len: metadata.require("llama.context_length")?,
        norm_eps: metadata.require("llama.attention.layer_norm_rms_epsilon")?,
        rope: rope::from_gguf(metadata, "llama", tensors, head_dim)?,
        sliding_window: metadata.get("llama.attention.sliding_window")?.filter(|size| *size > 0),
        attention_bias: shape("blk.0.attn_q.bias").is_some(),
        attention_output_bias: shape("blk.0.attn_output.bias").is_some(),
        tie_word_embeddings: shape("output.weight").is_none(),
    })
}

fn divide_heads(field: &str, hidden_size: usize, num_heads: usize) -> Result<usize, Fault> {
    match hidden_size.checked_div(num_heads) {
        Some(head_dim) if head_dim * num_heads == hidden_size => Ok(head_dim),
        _ => {
            let what = format!("{num_heads} does not divide the hidden size, {hidden_size}");
            Err(Fault::field(field, what))
        }
    }
}

/// GGUF's name for a tensor that transformers calls `theirs`.
pub(super) fn canonical_name(theirs: &str) -> Option<String> {
    let name = match theirs {
        "model.embed_tokens.weight" => "token_embd.weight".into(),
        "model.norm.weight" => "output_norm.weight".into(),
        "lm_head.weight" => "output.weight".into(),
        _ => {
            let (layer, rest) = theirs.strip_prefix("model.layers.")?.split_once('.')?;
            let (role, suffix) = rest.rsplit_once('.')?;
            let role = match role {
                "input_layernorm" => "attn_norm",
                "self_attn.q_proj" => "attn_q",
                "self_attn.k_proj" => "attn_k",
                "self_attn.v_proj" => "attn_v",
                "self_attn.o_proj" => "attn_output",
                "post_attention_layernorm" => "ffn_norm",
                "mlp.gate_proj" => "ffn_gate",
                "mlp.up_proj" => "ffn_up",
                "mlp.down_proj" => "ffn_down",
                _ => return None,
            };
            format!("blk.{layer}.{role}.{suffix}")
        }
    };
    Some(name)
}
