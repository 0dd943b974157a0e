//! Rotary position embedding as configurations describe it.
//!
//! Invariant: a kind of scaling that is not in [`RopeScaling`] is refused, never ignored; numbers
//! of a rotation made here are positive, and it turns an even number of a head's elements.

use kernels::quant::dequantize;

use super::{check, config::Config, gguf::Gguf};
use engine_weights::{Fault, fields::Fields};

use crate::{
    spec::{RopeScaling, RopeSpec, RopeStyle, Yarn},
    weights::Tensor,
};

/// GGUF tensors with a divisor for each frequency: for all lengths, or one of the other two.
pub(super) const FACTORS: &str = "rope_freqs.weight";
pub(super) const LONG_FACTORS: &str = "rope_factors_long.weight";
pub(super) const SHORT_FACTORS: &str = "rope_factors_short.weight";
const DEFAULT_THETA: f32 = 10_000.0;
const ORIGINAL: &str = "original_max_position_embeddings";
const ORIGINAL_KEY: &str = "rope.scaling.original_context_length";

/// `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`; `rotated` is the share
/// of a head that is rotated where the configuration does not say.
pub(super) fn from_config(
    config: &Config<'_>,
    head_dim: usize,
    rotated: f64,
) -> Result<RopeSpec, Fault> {
    const SHARE: &str = "partial_rotary_factor";
    let parameters = config.object("rope_parameters")?;
    let object = parameters.or(config.object("rope_scaling")?);
    let place = |field| parameters.filter(|object| object.has(field)).unwrap_or(*config);
    let theta = place("rope_theta").positive("rope_theta")?;
    let share: Option<f64> = place(SHARE).get(SHARE)?;
    let dim = (head_dim as f64 * share.unwrap_or(rotated)) as usize;
    check::rotated(dim, head_dim).map_err(|fault| place(SHARE).told(fault))?;
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
    check::rotated(head_dim, head_dim).map_err(|fault| config.told(fault))?;
    let rope = RopeSpec {
        style: RopeStyle::Half,
        theta: object.positive("rope_theta")?.unwrap_or(DEFAULT_THETA),
        dim: head_dim,
        scaling: RopeScaling::None,
        magnitude: 1.0,
    };
    scale(rope, object, config)
}

/// The scaling that `object` describes.
fn scale(rope: RopeSpec, object: &Config<'_>, config: &Config<'_>) -> Result<RopeSpec, Fault> {
    let field = if object.has("rope_type") { "rope_type" } else { "type" };
    let scaling = match object.get::<String>(field)?.as_deref() {
        None | Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: object.require_positive("factor")? },
        Some("llama3") => llama3(object, config)?,
        Some("yarn") => return yarn(rope, object, config),
        Some("longrope" | "su") => return long_rope(rope, object, config),
        Some(other) => {
            let what =
                format!("{other:?}; supported are default, linear, llama3, yarn and longrope");
            return Err(object.fault(field, what));
        }
    };
    Ok(RopeSpec { scaling, ..rope })
}

fn llama3(object: &Config<'_>, config: &Config<'_>) -> Result<RopeScaling, Fault> {
    let low_freq_factor = object.require_positive("low_freq_factor")?;
    let high_freq_factor = object.require_positive("high_freq_factor")?;
    if high_freq_factor < low_freq_factor {
        let what = format!("{high_freq_factor} is below low_freq_factor, {low_freq_factor}");
        return Err(object.fault("high_freq_factor", what));
    }
    let place = if object.has(ORIGINAL) { object } else { config };
    Ok(RopeScaling::Llama3 {
        factor: object.require_positive("factor")?,
        low_freq_factor,
        high_freq_factor,
        original_max_len: length(place, ORIGINAL, place.require(ORIGINAL)?)?,
    })
}

fn length(fields: &impl Fields, field: &str, len: usize) -> Result<usize, Fault> {
    if len == 0 { Err(fields.fault(field, "0 is not a length")) } else { Ok(len) }
}

/// `0.1 · m · ln(factor) + 1`: what YaRN multiplies with for longer contexts.
pub(super) fn yarn_magnitude(factor: f32, m: f32) -> f32 {
    if factor <= 1.0 { 1.0 } else { 0.1 * m * factor.ln() + 1.0 }
}

fn yarn(rope: RopeSpec, object: &Config<'_>, config: &Config<'_>) -> Result<RopeSpec, Fault> {
    let factor = object.require_positive("factor")?;
    let original_max_len = match object.get(ORIGINAL)? {
        Some(len) => length(object, ORIGINAL, len)?,
        None => config.require("max_position_embeddings")?,
    };
    let (all, one) = (object.get::<f32>("mscale_all_dim")?, object.get::<f32>("mscale")?);
    let magnitude = match (object.positive("attention_factor")?, one, all) {
        (Some(magnitude), ..) => magnitude,
        (None, Some(one), Some(all)) if one != 0.0 && all != 0.0 => {
            let magnitude = yarn_magnitude(factor, one) / yarn_magnitude(factor, all);
            object.check_positive("mscale", magnitude)?
        }
        _ => yarn_magnitude(factor, 1.0),
    };
    let yarn = Yarn {
        factor,
        beta_fast: object.positive("beta_fast")?.unwrap_or(32.0),
        beta_slow: object.positive("beta_slow")?.unwrap_or(1.0),
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
    let place = if object.has(ORIGINAL) { object } else { config };
    let original = place.get(ORIGINAL)?.unwrap_or(max_len);
    if original < 2 {
        return Err(place.fault(ORIGINAL, format!("{original} is not a length")));
    }
    let field = if max_len > original { "long_factor" } else { "short_factor" };
    let factors: Vec<f32> = object.require(field)?;
    if factors.len() != rope.dim / 2 {
        let what = format!("{} divisors for {} pairs", factors.len(), rope.dim / 2);
        return Err(object.fault(field, what));
    }
    factors.iter().try_for_each(|factor| object.check_positive(field, *factor).map(drop))?;
    let magnitude = match object.positive("attention_factor")? {
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
    file: &Gguf<'_>,
    (head_dim, style): (usize, RopeStyle),
) -> Result<RopeSpec, Fault> {
    let dim = file.get("rope.dimension_count")?.unwrap_or(head_dim);
    check::rotated(dim, head_dim).map_err(|fault| file.keys.told(fault))?;
    let theta = file.keys.positive("rope.freq_base")?.unwrap_or(DEFAULT_THETA);
    let magnitude = file.keys.positive("rope.scaling.attn_factor")?.unwrap_or(1.0);
    let mut rope = RopeSpec { style, theta, dim, scaling: RopeScaling::None, magnitude };
    const KIND: &str = "rope.scaling.type";
    match file.get::<&str>(KIND)? {
        None | Some("none") => {
            if let Some(factor) = file.keys.positive("rope.scale_linear")?
                && factor != 1.0
            {
                rope.scaling = RopeScaling::Linear { factor };
            }
        }
        Some("linear") => {
            let factor = file.keys.require_positive("rope.scaling.factor")?;
            rope.scaling = RopeScaling::Linear { factor };
        }
        Some("yarn") => yarn_from_gguf(file, &mut rope)?,
        Some("longrope") => {}
        Some(other) => {
            let what = format!("{other:?}; supported are none, linear, yarn and longrope");
            return Err(file.keys.fault(KIND, what));
        }
    };
    let original = file.get::<usize>(ORIGINAL_KEY)?;
    let max_len: usize = file.require("max_position_embeddings")?;
    let long = original.is_some_and(|original| max_len > original);
    let name = if long { LONG_FACTORS } else { SHORT_FACTORS };
    let found = file.tensors.iter().find(|tensor| [FACTORS, name].contains(&tensor.name()));
    if let Some(tensor) = found {
        if rope.scaling != RopeScaling::None {
            let what = format!("is set, and there is {} too", tensor.name());
            return Err(file.keys.fault(KIND, what));
        }
        rope.scaling = factors(tensor, dim)?;
    }
    Ok(rope)
}

fn yarn_from_gguf(file: &Gguf<'_>, rope: &mut RopeSpec) -> Result<(), Fault> {
    let positive = |name: &str| file.keys.positive(&format!("rope.scaling.{name}"));
    let factor = file.keys.require_positive("rope.scaling.factor")?;
    let original_max_len = length(&file.keys, ORIGINAL_KEY, file.require(ORIGINAL_KEY)?)?;
    rope.scaling = RopeScaling::Yarn(Yarn {
        factor,
        beta_fast: positive("yarn_beta_fast")?.unwrap_or(32.0),
        beta_slow: positive("yarn_beta_slow")?.unwrap_or(1.0),
        original_max_len,
        truncate: true,
    });
    // Files say nothing of it, or a factor on top of it.
    let magnitude = rope.magnitude * yarn_magnitude(factor, 1.0);
    rope.magnitude = file.keys.check_positive("rope.scaling.attn_factor", magnitude)?;
    Ok(())
}

fn factors(tensor: &Tensor, dim: usize) -> Result<RopeScaling, Fault> {
    if tensor.shape() != [dim / 2] {
        let what = format!("shape {:?}, but {dim} rotated elements pair up", tensor.shape());
        return Err(Fault::tensor(tensor.name(), what));
    }
    let mut factors = vec![0.0; dim / 2];
    dequantize(tensor.dtype(), tensor.bytes(), &mut factors);
    if let Some(factor) = factors.iter().find(|factor| !(factor.is_finite() && **factor > 0.0)) {
        return Err(Fault::tensor(tensor.name(), format!("{factor} is not a positive number")));
    }
    Ok(RopeScaling::Factors(factors))
}
