//! The encoder's tensors by role, shapes checked once.

use std::{io, path::Path};

use engine_weights::{
    DType, Weights, WeightsError,
    linear::{Linear, Weight, pack_all, vector},
};
use kernels::{
    Isa,
    norm::{Norm, NormKind},
    packed::Kind,
    pool::Pool,
};

use crate::spec::{BlockSpec, NormSpec, StackSpec};

/// The form of activations that a matrix is multiplied with: where that is two bfloat16s, an
/// encoder does with one. Its rows end as a sum of all tokens, or as few numbers, and no token is
/// chosen by the last bit of a logit; what that costs is held by `tests/`.
pub(super) fn kind(linear: &Linear) -> Kind {
    match linear.kind() {
        Kind::Bf16 => Kind::RoundedBf16,
        kind => kind,
    }
}

/// A layer norm, with its weights.
pub(super) struct LayerNorm {
    eps: f32,
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl LayerNorm {
    pub(super) fn load(
        weights: &Weights,
        name: &str,
        width: usize,
        spec: &NormSpec,
    ) -> Result<Self, WeightsError> {
        let read = |suffix: &str| vector(weights, &format!("{name}.{suffix}"), &[width]);
        let bias = if spec.bias { Some(read("bias")?) } else { None };
        Ok(Self { eps: spec.eps, weight: read("weight")?, bias })
    }

    /// For the kernels.
    pub(super) fn rule(&self) -> Norm<'_> {
        let Self { eps, weight, bias } = self;
        Norm { kind: NormKind::Layer, weight, bias: bias.as_deref(), eps: *eps }
    }
}

/// One transformer block.
pub(super) struct LayerWeights {
    /// Before attention, or after it, as the spec has it.
    pub(super) attn_norm: Option<LayerNorm>,
    pub(super) q: Linear,
    pub(super) k: Linear,
    pub(super) v: Linear,
    pub(super) attn_output: Linear,
    /// Before the feed-forward layer, or after it.
    pub(super) ffn_norm: LayerNorm,
    pub(super) gate: Option<Linear>,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

impl LayerWeights {
    fn load(spec: &StackSpec, weights: &Weights, i: usize) -> Result<Self, WeightsError> {
        let (hidden, attention, ffn) = (spec.hidden_size, &spec.attention, &spec.feed_forward);
        let name = |role: &str| format!("blk.{i}.{role}");
        let linear = |role, shape, bias| Linear::load(weights, &name(role), shape, bias);
        let norm = |role| LayerNorm::load(weights, &name(role), hidden, &spec.norm);
        let [attn_norm, ffn_norm] = match spec.block {
            BlockSpec::PostNorm => ["attn_output_norm", "layer_output_norm"],
            BlockSpec::PreNorm { .. } => ["attn_norm", "ffn_norm"],
        };
        let has_norm = spec.block == BlockSpec::PostNorm || spec.has_attn_norm(i);
        let gate = match ffn.gated {
            true => Some(linear("ffn_gate", [ffn.width, hidden], ffn.bias)?),
            false => None,
        };
        Ok(Self {
            attn_norm: if has_norm { Some(norm(attn_norm)?) } else { None },
            q: linear("attn_q", [hidden, hidden], attention.bias)?,
            k: linear("attn_k", [hidden, hidden], attention.key_bias)?,
            v: linear("attn_v", [hidden, hidden], attention.bias)?,
            attn_output: linear("attn_output", [hidden, hidden], attention.output_bias)?,
            ffn_norm: norm(ffn_norm)?,
            gate,
            up: linear("ffn_up", [ffn.width, hidden], ffn.bias)?,
            down: linear("ffn_down", [hidden, ffn.width], ffn.bias)?,
        })
    }

    fn linears(&mut self) -> impl Iterator<Item = &mut Linear> {
        let Self { q, k, v, attn_output, gate, up, down, .. } = self;
        [q, k, v, attn_output, up, down].into_iter().chain(gate)
    }
}

/// All tensors of the layers, and of the norm after them.
pub(super) struct StackWeights {
    /// `[bucket][head]`.
    pub(super) relative: Option<Vec<f32>>,
    pub(super) layers: Vec<LayerWeights>,
    pub(super) output_norm: Option<LayerNorm>,
}

impl StackWeights {
    /// Finds and checks every tensor that the spec needs.
    pub(super) fn load(spec: &StackSpec, weights: &Weights) -> Result<Self, WeightsError> {
        let norm = |name| LayerNorm::load(weights, name, spec.hidden_size, &spec.norm);
        let relative = spec.attention.relative.map(|relative| {
            let shape = [relative.buckets, spec.attention.num_heads];
            vector(weights, "attn_rel_b.weight", &shape)
        });
        Ok(Self {
            relative: relative.transpose()?,
            layers: (0..spec.layers.len())
                .map(|i| LayerWeights::load(spec, weights, i))
                .collect::<Result<_, _>>()?,
            output_norm: match spec.block {
                BlockSpec::PreNorm { .. } => Some(norm("output_norm")?),
                BlockSpec::PostNorm => None,
            },
        })
    }

    /// Packs what can be packed; where there is a matrix unit for bfloat16, what is stored in
    /// wider numbers is rounded to it: what that costs is held by `tests/`.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn pack(
        &mut self,
        path: Option<&Path>,
        (isa, pool): (Isa, &mut Pool),
    ) -> io::Result<()> {
        let mut all: Vec<_> = self.layers.iter_mut().flat_map(LayerWeights::linears).collect();
        for linear in &mut all {
            if let Weight::Stored(tensor) = &mut linear.weight
                && isa == Isa::Amx
                && matches!(tensor.dtype(), DType::F32 | DType::F16)
            {
                *tensor = tensor.to_bf16().map_err(io::Error::other)?;
            }
        }
        pack_all(all, path, pool)
    }
}
