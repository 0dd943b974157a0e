//! Mixtures of experts as configurations describe them.

use super::config::Config;
use engine_weights::{Fault, Size};
use kernels::quant::DType;

use crate::{
    spec::{DecoderSpec, ExpertsSpec, FeedForwardSpec, RouterScore, RouterSpec},
    weights::{Tensor, WeightsError},
};

/// A mixture with the usual fields.
pub(super) fn from_config(
    config: &Config<'_>,
    spec: &DecoderSpec,
    score: RouterScore,
) -> Result<ExpertsSpec, Fault> {
    let width = match config.get("moe_intermediate_size")? {
        Some(width) => width,
        None => spec.feed_forward.width,
    };
    Ok(ExpertsSpec {
        num_experts: config.require("num_experts")?,
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

/// How gates and what they gate lie in one tensor.
#[derive(Clone, Copy)]
pub(super) enum Fused {
    /// One of each in turn (gpt-oss).
    InTurn,
    /// All gates, then all they gate (Llama 4).
    Halves,
}

/// Files of transformers hold all experts' gates and what they gate in one tensor, and what comes
/// after in another, for multiplying from the other side, but for those in MXFP4, which are as they
/// are here.
pub(super) fn fused(
    spec: &DecoderSpec,
    tensor: Tensor,
    order: Fused,
) -> Result<Vec<Tensor>, WeightsError> {
    let Some((layer, role, suffix)) = super::split::parse(tensor.name()) else {
        return Ok(vec![tensor]);
    };
    let Some(experts) = &spec.experts else { return Ok(vec![tensor]) };
    let name = |role: &str, i: usize| format!("blk.{layer}.{role}.{i}.{suffix}");
    let (num, width) = (experts.num_experts, experts.expert.width);
    let of = |num, by| Size { num, by };
    let hidden = of(spec.hidden_size, &["hidden_size"]);
    let matrix = suffix == "weight";
    let turned = matrix && tensor.dtype() != DType::MXFP4;
    let shape = |rows: Size, cols: Size| {
        let num = of(num, &["num_experts"]);
        match (matrix, turned) {
            (true, true) => vec![num, cols, rows],
            (true, false) => vec![num, rows, cols],
            (false, _) => vec![num, rows],
        }
    };
    const WIDTH: &[&str] = &["moe_intermediate_size"];
    let one = |name: &str, i: usize| {
        let one = tensor.element(name, i)?;
        if turned { one.transposed(name) } else { Ok(one) }
    };
    match role {
        "ffn_gate_up_exps" => {
            tensor.check_shape(&shape(of(2 * width, WIDTH), hidden))?;
            let mut parts = Vec::with_capacity(2 * num);
            for i in 0..num {
                let both = one(tensor.name(), i)?;
                for (role, first) in [("ffn_gate", 0), ("ffn_up", 1)] {
                    let name = name(role, i);
                    parts.push(match order {
                        Fused::InTurn => {
                            both.in_order(&name, (0..width).map(|row| 2 * row + first))?
                        }
                        Fused::Halves => both.part(&name, first * width, width)?,
                    });
                }
            }
            Ok(parts)
        }
        "ffn_down_exps" => {
            tensor.check_shape(&shape(hidden, of(width, WIDTH)))?;
            (0..num).map(|i| one(&name("ffn_down", i), i)).collect()
        }
        _ => Ok(vec![tensor]),
    }
}
