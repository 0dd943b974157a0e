//! Mixtures of experts as configurations describe them.

use super::config::Config;
use engine_weights::Fault;

use crate::{
    spec::{DecoderSpec, ExpertsSpec, FeedForwardSpec, RouterScore, RouterSpec},
    weights::{Tensor, WeightsError},
};

/// A mixture whose number of experts is in the first field of `counts` that is there, with the
/// usual other fields.
pub(super) fn from_config(
    config: &Config<'_>,
    spec: &DecoderSpec,
    counts: &[&str],
    score: RouterScore,
) -> Result<ExpertsSpec, Fault> {
    let width = match config.get("moe_intermediate_size")? {
        Some(width) => width,
        None => spec.feed_forward.width,
    };
    let count = counts.iter().copied().find(|field| config.0.contains_key(*field));
    Ok(ExpertsSpec {
        num_experts: config.require(count.unwrap_or(counts[0]))?,
        num_active: config.require("num_experts_per_tok")?,
        expert: FeedForwardSpec { width, ..spec.feed_forward },
        router: RouterSpec {
            score,
            bias: false,
            choice_bias: false,
            groups: None,
            normalize: true,
            scale: 1.0,
            on_input: false,
        },
        shared_width: None,
        shared_gate: false,
    })
}

/// The gate of a shared expert may be a matrix of one row in files, and is a vector here.
pub(super) fn shared_gate(_: &DecoderSpec, tensor: Tensor) -> Result<Vec<Tensor>, WeightsError> {
    if tensor.name().ends_with("ffn_gate_inp_shexp.weight") && tensor.shape().len() == 2 {
        let name = tensor.name().to_owned();
        return Ok(vec![tensor.element(&name, 0)?]);
    }
    Ok(vec![tensor])
}
