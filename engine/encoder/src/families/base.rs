//! What the configurations of all families have in common.
//!
//! Invariant: sizes are as the file has them; `check` looks at them before anything is made of
//! them, but for the number of layers, which is looked at here.

use engine_weights::{Fault, config::Config};

use super::check;
use crate::spec::{
    Activation, AttentionSpec, BlockSpec, EmbeddingSpec, EncoderSpec, FeedForwardSpec, LayerSpec,
    NormSpec, StackSpec,
};

/// What a family calls its sizes.
pub(super) struct Fields {
    pub(super) hidden: &'static str,
    pub(super) layers: &'static str,
    pub(super) heads: &'static str,
    pub(super) inner: &'static str,
    pub(super) positions: &'static str,
    pub(super) activation: &'static str,
}

/// BERT's.
pub(super) const FIELDS: Fields = Fields {
    hidden: "hidden_size",
    layers: "num_hidden_layers",
    heads: "num_attention_heads",
    inner: "intermediate_size",
    positions: "max_position_embeddings",
    activation: "hidden_act",
};

/// An encoder like BERT, but without its positions and token types.
pub(super) fn base(
    config: &Config<'_>,
    family: &'static str,
    fields: &Fields,
) -> Result<EncoderSpec, Fault> {
    config.only("is_decoder", false)?;
    let num_layers = config.require(fields.layers)?;
    check::num_layers(num_layers)?;
    let activation = config.require::<String>(fields.activation)?;
    let stack = StackSpec {
        hidden_size: config.require(fields.hidden)?,
        max_input_len: config.require(fields.positions)?,
        attention: AttentionSpec {
            num_heads: config.require(fields.heads)?,
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
            width: config.require(fields.inner)?,
            gated: false,
            activation: function(fields.activation, &activation)?,
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
pub(super) fn function(field: &str, name: &str) -> Result<Activation, Fault> {
    Ok(match name {
        "gelu" => Activation::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
        "silu" | "swish" | "swiglu" => Activation::Silu,
        "relu" => Activation::Relu,
        _ => {
            let what = format!("{name:?}; supported are gelu, gelu_new, silu and relu");
            return Err(Fault::field(field, what));
        }
    })
}
