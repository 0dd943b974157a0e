//! What the configurations of all families have in common.
//!
//! Invariant: sizes are as the file has them; `check` looks at them before anything is made of
//! them, but for the number of layers, which is looked at here.

use engine_weights::{Fault, config::Config, fields::Fields};

use super::check;
use crate::spec::{
    Activation, AttentionSpec, BlockSpec, EmbeddingSpec, EncoderSpec, FeedForwardSpec, LayerSpec,
    NormSpec, StackSpec,
};

/// An encoder like BERT, but without its positions and token types.
pub(super) fn base(config: &Config<'_>, family: &'static str) -> Result<EncoderSpec, Fault> {
    const ACTIVATION: &str = "hidden_act";
    config.only("is_decoder", false)?;
    let num_layers = config.require("num_hidden_layers")?;
    check::num_layers(num_layers).map_err(|fault| config.told(fault))?;
    let activation = config.require::<String>(ACTIVATION)?;
    let stack = StackSpec {
        hidden_size: config.require("hidden_size")?,
        max_input_len: config.require("max_position_embeddings")?,
        attention: AttentionSpec {
            num_heads: config.require("num_attention_heads")?,
            bias: true,
            key_bias: true,
            output_bias: true,
            relative: None,
        },
        norm: NormSpec { eps: config.get("layer_norm_eps")?.unwrap_or(1e-12), bias: true },
        block: BlockSpec::PostNorm,
        ropes: Vec::new(),
        layers: vec![LayerSpec { rope: None, window: None }; num_layers],
        feed_forward: FeedForwardSpec {
            width: config.require("intermediate_size")?,
            gated: false,
            activation: function(config, ACTIVATION, &activation)?,
            bias: true,
        },
    };
    Ok(EncoderSpec {
        family,
        vocab_size: config.require("vocab_size")?,
        embedding: EmbeddingSpec { positions: None, token_types: 0 },
        stack,
    })
}

/// The function of a name, as transformers' `ACT2FN` has it.
pub(super) fn function(config: &Config<'_>, field: &str, name: &str) -> Result<Activation, Fault> {
    Ok(match name {
        "gelu" => Activation::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
        "silu" | "swish" | "swiglu" => Activation::Silu,
        "relu" => Activation::Relu,
        _ => {
            let what = format!("{name:?}; supported are gelu, gelu_new, silu and relu");
            return Err(config.fault(field, what));
        }
    })
}
