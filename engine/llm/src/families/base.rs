//! The decoder that most families are variations of: Llama's, by their usual names of fields.
//!
//! Invariant: what is read here means the same in all families that use it.

use kernels::norm::NormKind;

use super::{check, config::Config, rope};
use engine_weights::{Fault, fields::Fields};

use crate::spec::{
    Activation, AttentionSpec, BlockSpec, DecoderSpec, EmbeddingSpec, FeedForwardSpec, HeadSpec,
    LayerSpec, NormSpec, RopeSpec,
};

/// The numbers that a decoder of Llama's form has.
pub(super) struct Sizes {
    pub(super) vocab: usize,
    pub(super) hidden: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) width: usize,
    pub(super) max_len: usize,
    pub(super) eps: f32,
}

/// Llama's form: RMS norms before both branches, SwiGLU, one rotation for all layers.
///
/// # Errors
/// If there are more layers than can be listed.
pub(super) fn llama_shaped(
    fields: &impl Fields,
    family: &str,
    sizes: &Sizes,
    rope: Option<RopeSpec>,
) -> Result<DecoderSpec, Fault> {
    check::num_layers(sizes.layers).map_err(|fault| fields.told(fault))?;
    let layer =
        LayerSpec { rope: rope.as_ref().map(|_| 0), window: None, chunked: false, experts: false };
    Ok(DecoderSpec {
        family: family.into(),
        vocab_size: sizes.vocab,
        hidden_size: sizes.hidden,
        max_model_len: sizes.max_len,
        embedding: EmbeddingSpec { scale: 1.0, learned_positions: None },
        attention: AttentionSpec {
            num_heads: sizes.heads,
            num_kv_heads: sizes.kv_heads,
            head_dim: sizes.head_dim,
            scale: 1.0 / (sizes.head_dim as f32).sqrt(),
            bias: false,
            output_bias: false,
            qk_norm: None,
            softcap: None,
            sinks: false,
            latent: None,
            chunk: None,
            temperature: None,
        },
        norm: NormSpec { kind: NormKind::Rms, eps: sizes.eps, bias: false },
        block: BlockSpec::PreNorm,
        residual_scale: 1.0,
        ropes: rope.into_iter().collect(),
        layers: vec![layer; sizes.layers],
        feed_forward: FeedForwardSpec {
            width: sizes.width,
            gated: true,
            activation: Activation::Silu,
            bias: false,
        },
        experts: None,
        head: HeadSpec { tied: false, scale: 1.0, softcap: None },
    })
}

/// What a family's class in transformers takes for fields that are not there.
pub(super) struct Defaults {
    /// Key and value heads; `None` for as many as query heads.
    pub(super) kv_heads: Option<usize>,
    /// Added to the variance.
    pub(super) eps: f32,
    /// The share of a head that is rotated.
    pub(super) rotated: f64,
    /// Whether the output head is the token embedding.
    pub(super) tied: bool,
}

impl Defaults {
    /// Llama's.
    pub(super) const LLAMA: Self = Self { kv_heads: None, eps: 1e-6, rotated: 1.0, tied: false };
}

/// Reads a `config.json` with the usual names.
pub(super) fn from_config(
    config: &Config<'_>,
    family: &str,
    defaults: &Defaults,
) -> Result<DecoderSpec, Fault> {
    let sizes = sizes(config, defaults)?;
    let rope = rope::from_config(config, sizes.head_dim, defaults.rotated)?;
    let mut spec = llama_shaped(config, family, &sizes, Some(rope))?;
    spec.head.tied = config.get("tie_word_embeddings")?.unwrap_or(defaults.tied);
    for field in ["hidden_act", "hidden_activation"] {
        if let Some(activation) = activation(config, field)? {
            spec.feed_forward.activation = activation;
        }
    }
    Ok(spec)
}

/// The numbers, with the usual names.
pub(super) fn sizes(config: &Config<'_>, defaults: &Defaults) -> Result<Sizes, Fault> {
    let hidden = config.require("hidden_size")?;
    let heads = config.require("num_attention_heads")?;
    let head_dim = match config.get("head_dim")? {
        Some(head_dim) => head_dim,
        None => divide_heads(config, hidden, heads)?,
    };
    Ok(Sizes {
        vocab: config.require("vocab_size")?,
        hidden,
        layers: config.require("num_hidden_layers")?,
        heads,
        kv_heads: config.get("num_key_value_heads")?.or(defaults.kv_heads).unwrap_or(heads),
        head_dim,
        width: config.require("intermediate_size")?,
        max_len: config.require("max_position_embeddings")?,
        eps: config.get("rms_norm_eps")?.unwrap_or(defaults.eps),
    })
}

/// The function in this field, by its name in transformers.
pub(super) fn activation(config: &Config<'_>, field: &str) -> Result<Option<Activation>, Fault> {
    match config.get::<String>(field)?.as_deref() {
        None => Ok(None),
        Some("silu" | "swish") => Ok(Some(Activation::Silu)),
        Some("gelu") => Ok(Some(Activation::Gelu)),
        Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Ok(Some(Activation::GeluTanh)),
        Some(other) => {
            let what = format!(
                "{other:?} is not supported, only silu, gelu, gelu_new and gelu_pytorch_tanh are"
            );
            Err(config.fault(field, what))
        }
    }
}

/// The width of a head, where heads make up the hidden size.
pub(super) fn divide_heads(
    fields: &impl Fields,
    hidden_size: usize,
    num_heads: usize,
) -> Result<usize, Fault> {
    if hidden_size == 0 {
        return Err(fields.fault("hidden_size", "0 is not positive"));
    }
    match hidden_size.checked_div(num_heads) {
        Some(head_dim) if head_dim * num_heads == hidden_size => Ok(head_dim),
        _ => {
            let what = format!("{num_heads} does not divide the hidden size, {hidden_size}");
            Err(fields.fault("num_attention_heads", what))
        }
    }
}

/// Kinds of attention by layer, as newer configurations list them.
pub(super) fn layer_types(
    config: &Config<'_>,
    num_layers: usize,
) -> Result<Option<Vec<LayerType>>, Fault> {
    const FIELD: &str = "layer_types";
    let Some(names) = config.get::<Vec<String>>(FIELD)? else { return Ok(None) };
    if names.len() != num_layers {
        let what = format!("{} entries for {num_layers} layers", names.len());
        return Err(config.fault(FIELD, what));
    }
    let kind = |name: &String| match name.as_str() {
        "full_attention" => Ok(LayerType::Full),
        "sliding_attention" => Ok(LayerType::Sliding),
        "chunked_attention" => Ok(LayerType::Chunked),
        other => Err(config.fault(FIELD, format!("{other:?} is not supported"))),
    };
    names.iter().map(kind).collect::<Result<_, _>>().map(Some)
}

/// A kind of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LayerType {
    /// To all positions before.
    Full,
    /// To a window of them.
    Sliding,
    /// To those of the same chunk.
    Chunked,
}

/// Gives each layer that slides the window.
pub(super) fn set_windows(
    spec: &mut DecoderSpec,
    window: Option<usize>,
    slides: impl Fn(usize) -> bool,
) {
    for (i, layer) in spec.layers.iter_mut().enumerate() {
        layer.window = window.filter(|_| slides(i));
    }
}
