//! What feed-forward layers are computed with, alone or as a mixture of experts.

use kernels::packed;

use super::{Linear, Weight, vector};
use crate::{
    spec::{ExpertsSpec, FeedForwardSpec},
    weights::{Weights, WeightsError},
};

/// A feed-forward layer.
pub(in super::super) struct FeedForward {
    pub(in super::super) spec: FeedForwardSpec,
    pub(in super::super) gate: Option<Linear>,
    pub(in super::super) up: Linear,
    pub(in super::super) down: Linear,
    hidden: usize,
}

impl FeedForward {
    pub(super) fn load(
        weights: &Weights,
        name: &dyn Fn(&str) -> String,
        hidden: usize,
        spec: FeedForwardSpec,
    ) -> Result<Self, WeightsError> {
        let FeedForwardSpec { width, gated, bias, .. } = spec;
        let linear = |role, shape| Linear::load(weights, &name(role), shape, bias);
        let gate = match gated {
            true => Some(linear("ffn_gate", [width, hidden])?),
            false => None,
        };
        let up = linear("ffn_up", [width, hidden])?;
        Ok(Self { spec, gate, up, down: linear("ffn_down", [hidden, width])?, hidden })
    }

    /// Elements of a row that goes in: those of one that comes out.
    pub(in super::super) fn inputs(&self) -> usize {
        self.hidden
    }

    /// Gate and up projection, if they can be computed in one.
    pub(in super::super) fn fused(&self) -> Option<[packed::Matrix<'_>; 2]> {
        let gate = self.gate.as_ref()?;
        match (&gate.weight, &self.up.weight) {
            (Weight::Packed(gate), Weight::Packed(up)) if !self.spec.bias => {
                let both = [gate.matrix(None), up.matrix(None)];
                (both[0].format == both[1].format).then_some(both)
            }
            _ => None,
        }
    }

    pub(super) fn for_each(&mut self, visit: &mut dyn FnMut(&mut Linear)) {
        self.gate.as_mut().into_iter().for_each(&mut *visit);
        visit(&mut self.up);
        visit(&mut self.down);
    }
}

/// A mixture of experts.
pub(in super::super) struct Experts {
    /// Read as it is stored: choices are to be those of exact scores.
    pub(in super::super) router: Linear,
    pub(in super::super) choice_bias: Option<Vec<f32>>,
    pub(in super::super) experts: Vec<FeedForward>,
    pub(in super::super) shared: Option<FeedForward>,
    pub(in super::super) shared_gate: Option<Vec<f32>>,
}

impl Experts {
    pub(super) fn load(
        weights: &Weights,
        layer: &str,
        hidden: usize,
        spec: &ExpertsSpec,
    ) -> Result<Self, WeightsError> {
        let name = |role: &str| format!("{layer}.{role}");
        let one = |suffix: &str, spec| {
            FeedForward::load(weights, &|role| format!("{layer}.{role}{suffix}"), hidden, spec)
        };
        let expert = |i| one(&format!(".{i}"), spec.expert);
        let router = [spec.num_experts, hidden];
        let optional = |there: bool, role: &str, len: usize| match there {
            true => vector(weights, &name(role), &[len]).map(Some),
            false => Ok(None),
        };
        Ok(Self {
            router: Linear::load(weights, &name("ffn_gate_inp"), router, spec.router.bias)?,
            choice_bias: optional(spec.router.choice_bias, "exp_probs_b.bias", spec.num_experts)?,
            experts: (0..spec.num_experts).map(expert).collect::<Result<_, _>>()?,
            shared: spec.shared().map(|spec| one("_shexp", spec)).transpose()?,
            shared_gate: optional(spec.shared_gate, "ffn_gate_inp_shexp.weight", hidden)?,
        })
    }
}
