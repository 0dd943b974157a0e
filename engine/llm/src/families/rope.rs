//! Rotary position embedding as configurations describe it.
//!
//! Invariant: a kind of scaling that is not in [`RopeScaling`] is refused, never ignored.

use kernels::quant::dequantize;

use super::config::Config;
use engine_weights::Fault;

use crate::{
    spec::{RopeScaling, RopeSpec, RopeStyle, Yarn},
    weights::{Metadata, Tensor},
};

/// GGUF tensors with a divisor for each frequency: for all lengths, or one of the other two.
pub(super) const FACTORS: &str = "rope_freqs.weight";
pub(super) const LONG_FACTORS: &str = "rope_factors_long.weight";
pub(super) const SHORT_FACTORS: &str = "rope_factors_short.weight";
const DEFAULT_THETA: f32 = 10_000.0;
const ORIGINAL: &str = "original_max_position_embeddings";

/// `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`; `rotated` is the share
/// of a head that is rotated where the configuration does not say.
pub(super) fn from_config(
    config: &Config<'_>,
    head_dim: usize,
    rotated: f64,
) -> Result<RopeSpec, Fault> {
    let parameters = config.object("rope_parameters")?;
    let object = parameters.or(config.object("rope_scaling")?);
    let theta = match parameters {
        Some(parameters) => parameters.get("rope_theta")?,
        None => None,
    };
    let theta = theta.or(config.get("rope_theta")?).or(config.get("rotary_emb_base")?);
    let share: Option<f64> = match parameters {
        Some(parameters) => parameters.get("partial_rotary_factor")?,
        None => None,
    };
    let share = share.or(config.get("partial_rotary_factor")?).or(config.get("rotary_pct")?);
    let dim = (head_dim as f64 * share.unwrap_or(rotated)) as usize;
    let rope = RopeSpec {
        style: RopeStyle::Half,
        theta: theta.unwrap_or(DEFAULT_THETA),
        dim,
        scaling: RopeScaling::None,
        magnitude: 1.0,
    };
    match object {
        Some(object) => scale(rope, &object, config),
        None => Ok(rope),
    }
}

/// One of several `rope_parameters`, as those of Gemma 3's kinds of layers.
pub(super) fn from_parameters(
    object: &Config<'_>,
    config: &Config<'_>,
    head_dim: usize,
) -> Result<RopeSpec, Fault> {
    let rope = RopeSpec {
        style: RopeStyle::Half,
        theta: object.get("rope_theta")?.unwrap_or(DEFAULT_THETA),
        dim: head_dim,
        scaling: RopeScaling::None,
        magnitude: 1.0,
    };
    scale(rope, object, config)
}

/// The scaling that `object` describes.
pub(super) fn scale(
    rope: RopeSpec,
    object: &Config<'_>,
    config: &Config<'_>,
) -> Result<RopeSpec, Fault> {
    const FIELD: &str = "rope_type";
    let kind: Option<String> = object.get(FIELD)?.or(object.get("type")?);
    let original = || match object.get(ORIGINAL)? {
        Some(len) => Ok(len),
        None => config.require(ORIGINAL),
    };
    let scaling = match kind.as_deref() {
        None | Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: object.require("factor")? },
        Some("llama3") => RopeScaling::Llama3 {
            factor: object.require("factor")?,
            low_freq_factor: object.require("low_freq_factor")?,
            high_freq_factor: object.require("high_freq_factor")?,
            original_max_len: original()?,
        },
        Some("yarn") => return yarn(rope, object, config),
        Some("longrope" | "su") => return long_rope(rope, object, config),
        Some(other) => {
            let what =
                format!("{other:?}; supported are default, linear, llama3, yarn and longrope");
            return Err(Fault::field(FIELD, what));
        }
    };
    Ok(RopeSpec { scaling, ..rope })
}

/// `0.1 · m · ln(factor) + 1`: what YaRN multiplies with for longer contexts.
pub(super) fn yarn_magnitude(factor: f32, m: f32) -> f32 {
    if factor <= 1.0 { 1.0 } else { 0.1 * m * factor.ln() + 1.0 }
}

fn yarn(rope: RopeSpec, object: &Config<'_>, config: &Config<'_>) -> Result<RopeSpec, Fault> {
    let factor = object.require("factor")?;
    let original_max_len = match object.get(ORIGINAL)? {
        Some(len) => len,
        None => config.require("max_position_embeddings")?,
    };
    let (all, one) = (object.get::<f32>("mscale_all_dim")?, object.get::<f32>("mscale")?);
    let magnitude = match (object.get("attention_factor")?, one, all) {
        (Some(magnitude), ..) => magnitude,
        (None, Some(one), Some(all)) if one != 0.0 && all != 0.0 => {
            yarn_magnitude(factor, one) / yarn_magnitude(factor, all)
        }
        _ => yarn_magnitude(factor, 1.0),
    };
    let yarn = Yarn {
        factor,
        beta_fast: object.get("beta_fast")?.unwrap_or(32.0),
        beta_slow: object.get("beta_slow")?.unwrap_or(1.0),
        original_max_len,
        truncate: object.get("truncate")?.unwrap_or(true),
    };
    Ok(RopeSpec { scaling: RopeScaling::Yarn(yarn), magnitude, ..rope })
}

/// Phi-3's: one set of divisors for contexts up to the original length, another beyond. As in
/// vLLM and llama.cpp, which one is used depends on the length that the model is made for, not on
/// that of each prompt: what is in the cache would not fit otherwise.
fn long_rope(rope: RopeSpec, object: &Config<'_>, config: &Config<'_>) -> Result<RopeSpec, Fault> {
    let max_len: usize = config.require("max_position_embeddings")?;
    let original = match (object.get(ORIGINAL)?, config.get(ORIGINAL)?) {
        (Some(len), _) | (None, Some(len)) => len,
        (None, None) => max_len,
    };
    if original < 2 {
        return Err(Fault::field(ORIGINAL, format!("{original} is not a length")));
    }
    let field = if max_len > original { "long_factor" } else { "short_factor" };
    let factors: Vec<f32> = object.require(field)?;
    if factors.len() != rope.dim / 2 {
        let what = format!("{} divisors for {} pairs", factors.len(), rope.dim / 2);
        return Err(Fault::field(field, what));
    }
    let magnitude = match object.get("attention_factor")? {
        Some(magnitude) => magnitude,
        None => {
            let factor = match object.get::<f64>("factor")? {
                Some(factor) => factor,
                None => max_len as f64 / original as f64,
            };
            long_magnitude(factor, original)
        }
    };
    Ok(RopeSpec { scaling: RopeScaling::Factors(factors), magnitude, ..rope })
}

fn long_magnitude(factor: f64, original: usize) -> f32 {
    if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / (original as f64).ln()).sqrt() as f32 }
}

/// `ARCH.rope.*`, and the factors of [`FACTORS`] and the other two.
pub(super) fn from_gguf(
    metadata: &Metadata<'_>,
    architecture: &str,
    tensors: &[Tensor],
    (head_dim, style): (usize, RopeStyle),
) -> Result<RopeSpec, Fault> {
    let key = |name: &str| format!("{architecture}.rope.{name}");
    let dim = metadata.get(&key("dimension_count"))?.unwrap_or(head_dim);
    let theta = metadata.get(&key("freq_base"))?.unwrap_or(DEFAULT_THETA);
    let magnitude = metadata.get(&key("scaling.attn_factor"))?.unwrap_or(1.0);
    let mut rope = RopeSpec { style, theta, dim, scaling: RopeScaling::None, magnitude };
    let kind_key = key("scaling.type");
    match metadata.get::<&str>(&kind_key)? {
        None | Some("none") => {
            if let Some(factor) = metadata.get(&key("scale_linear"))?
                && factor != 1.0
            {
                rope.scaling = RopeScaling::Linear { factor };
            }
        }
        Some("linear") => {
            let factor = metadata.require(&key("scaling.factor"))?;
            rope.scaling = RopeScaling::Linear { factor };
        }
        Some("yarn") => yarn_from_gguf(metadata, architecture, &mut rope)?,
        Some("longrope") => {}
        Some(other) => {
            let what = format!("{other:?}; supported are none, linear, yarn and longrope");
            return Err(Fault::field(&kind_key, what));
        }
    };
    let original = metadata.get::<usize>(&key("scaling.original_context_length"))?;
    let max_len: usize = metadata.require(&format!("{architecture}.context_length"))?;
    let long = original.is_some_and(|original| max_len > original);
    let name = if long { LONG_FACTORS } else { SHORT_FACTORS };
    let found = tensors.iter().find(|tensor| [FACTORS, name].contains(&tensor.name()));
    if let Some(tensor) = found {
        if rope.scaling != RopeScaling::None {
            let what = format!("is set, and there is {} too", tensor.name());
            return Err(Fault::field(&kind_key, what));
        }
        rope.scaling = factors(tensor, dim)?;
    }
    Ok(rope)
}

fn yarn_from_gguf(
    metadata: &Metadata<'_>,
    architecture: &str,
    rope: &mut RopeSpec,
) -> Result<(), Fault> {
    let key = |name: &str| format!("{architecture}.rope.scaling.{name}");
    let factor = metadata.require(&key("factor"))?;
    let original_max_len = metadata.require(&key("original_context_length"))?;
    rope.scaling = RopeScaling::Yarn(Yarn {
        factor,
        beta_fast: metadata.get(&key("yarn_beta_fast"))?.unwrap_or(32.0),
        beta_slow: metadata.get(&key("yarn_beta_slow"))?.unwrap_or(1.0),
        original_max_len,
        truncate: true,
    });
    // Files say nothing of it, or a factor on top of it.
    rope.magnitude *= yarn_magnitude(factor, 1.0);
    Ok(())
}

fn factors(tensor: &Tensor, dim: usize) -> Result<RopeScaling, Fault> {
    if tensor.shape() != [dim / 2] {
        let what = format!("shape {:?}, but {dim} rotated elements pair up", tensor.shape());
        return Err(Fault::tensor(tensor.name(), what));
    }
    let mut factors = vec![0.0; dim / 2];
    dequantize(tensor.dtype(), tensor.bytes(), &mut factors);
    Ok(RopeScaling::Factors(factors))
}
