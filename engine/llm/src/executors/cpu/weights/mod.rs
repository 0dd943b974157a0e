//! The decoder's tensors by role, shapes checked once.

mod attention;
mod feed_forward;

use std::{io, path::Path};

use kernels::{
    norm::{Norm, NormKind},
    pool::Pool,
};

pub(super) use self::{
    attention::{Attention, Grouped, Latent},
    feed_forward::{Experts, FeedForward},
};

use engine_weights::packed::pack;

use super::linear::{Linear, Weight, vector};
use crate::{
    spec::{DecoderSpec, LayerSpec, NormSpec},
    weights::{Tensor, Weights, WeightsError},
};

/// A norm, with its weights.
pub(super) struct NormWeights {
    kind: NormKind,
    eps: f32,
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    /// Elements that are normed together.
    pub(super) vector: usize,
}

impl NormWeights {
    fn load(
        weights: &Weights,
        name: &str,
        width: usize,
        spec: &NormSpec,
    ) -> Result<Self, WeightsError> {
        let bias = match spec.bias {
            true => Some(vector(weights, &format!("{name}.bias"), &[width])?),
            false => None,
        };
        let weight = vector(weights, &format!("{name}.weight"), &[width])?;
        Ok(Self { kind: spec.kind, eps: spec.eps, weight, bias, vector: width })
    }

    /// For the kernels.
    pub(super) fn rule(&self) -> Norm<'_> {
        let Self { kind, eps, weight, bias, .. } = self;
        Norm { kind: *kind, weight, bias: bias.as_deref(), eps: *eps }
    }
}

/// What comes after attention.
#[expect(clippy::large_enum_variant, reason = "one for each layer, and most are dense")]
pub(super) enum Ffn {
    Dense(FeedForward),
    Experts(Box<Experts>),
}

/// One transformer block.
pub(super) struct LayerWeights {
    pub(super) attn_norm: Option<NormWeights>,
    pub(super) attention: Attention,
    pub(super) attn_output: Linear,
    pub(super) post_attn_norm: Option<NormWeights>,
    pub(super) ffn_norm: Option<NormWeights>,
    pub(super) ffn: Ffn,
    pub(super) post_ffn_norm: Option<NormWeights>,
}

impl LayerWeights {
    fn load(
        spec: &DecoderSpec,
        weights: &Weights,
        (i, layer): (usize, &LayerSpec),
    ) -> Result<Self, WeightsError> {
        let (hidden, attention) = (spec.hidden_size, &spec.attention);
        let name = |role: &str| format!("blk.{i}.{role}");
        let norm = |role: &str, there: bool| match there {
            true => NormWeights::load(weights, &name(role), hidden, &spec.norm).map(Some),
            false => Ok(None),
        };
        let output = [hidden, attention.out_width()];
        Ok(Self {
            attn_norm: norm("attn_norm", spec.block.has_pre_norm())?,
            attention: match &attention.latent {
                None => {
                    let spec = (attention, layer);
                    Attention::Grouped(Grouped::load(weights, &name, hidden, spec)?.into())
                }
                Some(latent) => {
                    let spec = (attention, latent, &spec.norm);
                    Attention::Latent(Latent::load(weights, &name, hidden, spec)?.into())
                }
            },
            attn_output: Linear::load(
                weights,
                &name("attn_output"),
                output,
                attention.output_bias,
            )?,
            post_attn_norm: norm("post_attention_norm", spec.block.has_post_norms())?,
            ffn_norm: norm("ffn_norm", spec.block.has_own_ffn_norm())?,
            ffn: match &spec.experts {
                Some(experts) if layer.experts => {
                    let layer = format!("blk.{i}");
                    Ffn::Experts(Experts::load(weights, &layer, hidden, experts)?.into())
                }
                _ => Ffn::Dense(FeedForward::load(weights, &name, hidden, spec.feed_forward)?),
            },
            post_ffn_norm: norm("post_ffw_norm", spec.block.has_post_norms())?,
        })
    }

    /// All matrices that are worth packing.
    fn for_each(&mut self, visit: &mut dyn FnMut(&mut Linear)) {
        self.attention.for_each(visit);
        visit(&mut self.attn_output);
        match &mut self.ffn {
            Ffn::Dense(ffn) => ffn.for_each(visit),
            Ffn::Experts(ffn) => {
                ffn.experts.iter_mut().chain(&mut ffn.shared).for_each(|ffn| ffn.for_each(visit));
            }
        }
    }
}

/// All tensors of the decoder.
pub(super) struct DecoderWeights {
    /// Read a row at a time, so always as it is stored.
    pub(super) embedding: Tensor,
    /// Likewise, where positions are learned.
    pub(super) positions: Option<Tensor>,
    pub(super) layers: Vec<LayerWeights>,
    pub(super) output_norm: NormWeights,
    pub(super) output: Linear,
}

impl DecoderWeights {
    /// Finds and checks every tensor that the spec needs.
    pub(super) fn load(spec: &DecoderSpec, weights: &Weights) -> Result<Self, WeightsError> {
        let hidden = spec.hidden_size;
        let table = [spec.vocab_size, hidden];
        let head = if spec.head.tied { "token_embd" } else { "output" };
        let positions = spec
            .embedding
            .learned_positions
            .map(|rows| weights.expect("position_embd.weight", &[rows, hidden]));
        Ok(Self {
            embedding: weights.expect("token_embd.weight", &table)?,
            positions: positions.transpose()?,
            layers: (spec.layers.iter().enumerate())
                .map(|layer| LayerWeights::load(spec, weights, layer))
                .collect::<Result<_, _>>()?,
            output_norm: NormWeights::load(weights, "output_norm", hidden, &spec.norm)?,
            output: Linear::load(weights, head, table, false)?,
        })
    }

    /// Packs what can be packed; see [`pack`].
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn pack(&mut self, path: Option<&Path>, pool: &mut Pool) -> io::Result<()> {
        let mut tensors = Vec::new();
        self.for_each_stored(&mut |tensor| tensors.push(tensor.clone()));
        let packed = pack(&tensors.iter().collect::<Vec<_>>(), path, pool)?;
        let mut packed = packed.into_iter();
        self.for_each(&mut |linear| {
            if let Weight::Stored(_) = linear.weight
                && let Some(Some(packed)) = packed.next()
            {
                linear.weight = Weight::Packed(packed);
            }
        });
        Ok(())
    }

    /// Visits the matrices that are not packed, in the same order each time.
    pub(super) fn for_each_stored(&mut self, visit: &mut dyn FnMut(&Tensor)) {
        self.for_each(&mut |linear| {
            if let Weight::Stored(tensor) = &linear.weight {
                visit(tensor);
            }
        });
    }

    fn for_each(&mut self, visit: &mut dyn FnMut(&mut Linear)) {
        self.layers.iter_mut().for_each(|layer| layer.for_each(visit));
        visit(&mut self.output);
    }
}
