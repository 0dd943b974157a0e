//! Rotary position embedding as configurations describe it.
//!
//! Invariant: a kind of scaling that is not in [`RopeScaling`] is refused, never ignored.

use kernels::quant::dequantize;

use super::config::Config;
use crate::{
    error::Fault,
    spec::{RopeScaling, RopeSpec, RopeStyle},
    weights::{Metadata, Tensor},
};

/// The GGUF tensor with a divisor for each frequency.
pub(super) const FACTORS: &str = "rope_freqs.weight";
const DEFAULT_THETA: f32 = 10_000.0;

/// `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`.
pub(super) fn from_config(config: &Config<'_>, head_dim: usize) -> Result<RopeSpec, Fault> {
    let parameters = config.object("rope_parameters")?;
    let scaling = match parameters.or(config.object("rope_scaling")?) {
        Some(object) => scaling(&object, config)?,
        None => RopeScaling::None,
    };
    for object in [Some(*config), parameters].into_iter().flatten() {
        object.only("partial_rotary_factor", 1.0)?;
    }
    let theta = match parameters {
        Some(parameters) => parameters.get("rope_theta")?,
        None => None,
    };
    let theta = theta.or(config.get("rope_theta")?).unwrap_or(DEFAULT_THETA);
    Ok(RopeSpec { style: RopeStyle::Half, theta, dim: head_dim, scaling })
}

fn scaling(object: &Config<'_>, config: &Config<'_>) -> Result<RopeScaling, Fault> {
    const FIELD: &str = "rope_type";
    let kind: Option<String> = object.get(FIELD)?.or(object.get("type")?);
    match kind.as_deref() {
        None | Some("default") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear { factor: object.require("factor")? }),
        Some("llama3") => {
            const ORIGINAL: &str = "original_max_position_embeddings";
            Ok(RopeScaling::Llama3 {
                factor: object.require("factor")?,
                low_freq_factor: object.require("low_freq_factor")?,
                high_freq_factor: object.require("high_freq_factor")?,
                original_max_len: match object.get(ORIGINAL)? {
                    Some(len) => len,
                    None => config.require(ORIGINAL)?,
                },
            })
        }
        Some(other) => {
            let what = format!("{other:?}; supported are default, linear and llama3");
            Err(Fault::field(FIELD, what))
        }
    }
}

/// `ARCH.rope.*`, and the factors of [`FACTORS`].
pub(super) fn from_gguf(
    metadata: &Metadata<'_>,
    architecture: &str,
    tensors: &[Tensor],
    head_dim: usize,
) -> Result<RopeSpec, Fault> {
    let key = |name: &str| format!("{architecture}.rope.{name}");
    let dim = metadata.get(&key("dimension_count"))?.unwrap_or(head_dim);
    let kind_key = key("scaling.type");
    let scaling = match metadata.get::<&str>(&kind_key)? {
        None | Some("none") => match metadata.get(&key("scale_linear"))? {
            Some(factor) if factor != 1.0 => RopeScaling::Linear { factor },
            _ => RopeScaling::None,
        },
        Some("linear") => RopeScaling::Linear { factor: metadata.require(&key("scaling.factor"))? },
        Some(other) => {
            let what = format!("{other:?}; supported are none and linear");
            return Err(Fault::field(&kind_key, what));
        }
    };
    let scaling = match tensors.iter().find(|tensor| tensor.name() == FACTORS) {
        None => scaling,
        Some(tensor) if scaling == RopeScaling::None => factors(tensor, dim)?,
        Some(_) => {
            return Err(Fault::field(&kind_key, format!("is set, and there is {FACTORS} too")));
        }
    };
    let theta = metadata.get(&key("freq_base"))?.unwrap_or(DEFAULT_THETA);
    Ok(RopeSpec { style: RopeStyle::Interleaved, theta, dim, scaling })
}

fn factors(tensor: &Tensor, dim: usize) -> Result<RopeScaling, Fault> {
    if tensor.shape() != [dim / 2] {
        let what = format!("shape {:?}, but {dim} rotated elements pair up", tensor.shape());
        return Err(Fault::tensor(FACTORS, what));
    }
    let mut factors = vec![0.0; dim / 2];
    dequantize(tensor.dtype(), tensor.bytes(), &mut factors);
    Ok(RopeScaling::Factors(factors))
}
