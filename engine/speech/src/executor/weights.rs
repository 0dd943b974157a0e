//! The tensors beside the encoder's layers by role, shapes checked once.

use engine_weights::{
    Tensor, Weights, WeightsError,
    linear::{Linear, vector},
};
use kernels::norm::{Norm, NormKind};

use crate::spec::{KERNEL, WhisperSpec};

/// A layer norm, with its weights.
pub(super) struct LayerNorm {
    eps: f32,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl LayerNorm {
    fn load(weights: &Weights, name: &str, spec: &WhisperSpec) -> Result<Self, WeightsError> {
        let read = |what: &str| vector(weights, &format!("{name}.{what}"), &[spec.hidden_size()]);
        Ok(Self { eps: spec.norm().eps, weight: read("weight")?, bias: read("bias")? })
    }

    /// For the kernels.
    pub(super) fn rule(&self) -> Norm<'_> {
        let Self { eps, weight, bias } = self;
        Norm { kind: NormKind::Layer, weight, bias: Some(bias), eps: *eps }
    }
}

/// What comes before the encoder's layers.
pub(super) struct Front {
    pub(super) conv1: Linear,
    pub(super) conv2: Linear,
    /// Added to the rows of a window.
    pub(super) positions: Vec<f32>,
}

impl Front {
    pub(super) fn load(spec: &WhisperSpec, weights: &Weights) -> Result<Self, WeightsError> {
        let hidden = spec.hidden_size();
        let conv = |name, cols| Linear::load(weights, name, [hidden, KERNEL * cols], true);
        Ok(Self {
            conv1: conv("conv1", spec.num_mels)?,
            conv2: conv("conv2", hidden)?,
            positions: vector(weights, "position_embd.weight", &[spec.positions(), hidden])?,
        })
    }

    pub(super) fn linears(&mut self) -> impl Iterator<Item = &mut Linear> {
        [&mut self.conv1, &mut self.conv2].into_iter()
    }
}

/// Attention's projections.
pub(super) struct Attention {
    pub(super) norm: LayerNorm,
    pub(super) q: Linear,
    pub(super) k: Linear,
    pub(super) v: Linear,
    pub(super) output: Linear,
}

impl Attention {
    fn load(spec: &WhisperSpec, weights: &Weights, name: &str) -> Result<Self, WeightsError> {
        let shape = [spec.hidden_size(); 2];
        let linear = |role, bias| Linear::load(weights, &format!("{name}_{role}"), shape, bias);
        Ok(Self {
            norm: LayerNorm::load(weights, &format!("{name}_norm"), spec)?,
            q: linear("q", true)?,
            k: linear("k", false)?,
            v: linear("v", true)?,
            output: linear("output", true)?,
        })
    }

    fn linears(&mut self) -> [&mut Linear; 4] {
        [&mut self.q, &mut self.k, &mut self.v, &mut self.output]
    }
}

/// A layer of the decoder.
pub(super) struct Layer {
    /// To the tokens before.
    pub(super) own: Attention,
    /// To the encoder's rows.
    pub(super) cross: Attention,
    pub(super) norm: LayerNorm,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

impl Layer {
    fn linears(&mut self) -> impl Iterator<Item = &mut Linear> {
        let Self { own, cross, up, down, .. } = self;
        own.linears().into_iter().chain(cross.linears()).chain([up, down])
    }
}

/// All tensors of the decoder.
pub(super) struct Decoder {
    /// Read a row at a time, so as they are stored; ...
    pub(super) tokens: Tensor,
    /// ... and the same to compute logits with.
    pub(super) head: Linear,
    pub(super) positions: Vec<f32>,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: LayerNorm,
}

impl Decoder {
    pub(super) fn load(spec: &WhisperSpec, weights: &Weights) -> Result<Self, WeightsError> {
        let (hidden, width) = (spec.hidden_size(), spec.decoder_width);
        let layer = |i: usize| {
            let name = |role: &str| format!("blk.{i}.{role}");
            let linear = |role, shape| Linear::load(weights, &name(role), shape, true);
            Ok::<_, WeightsError>(Layer {
                own: Attention::load(spec, weights, &name("attn"))?,
                cross: Attention::load(spec, weights, &name("cross"))?,
                norm: LayerNorm::load(weights, &name("ffn_norm"), spec)?,
                up: linear("ffn_up", [width, hidden])?,
                down: linear("ffn_down", [hidden, width])?,
            })
        };
        let shape = [spec.vocab_size, hidden];
        Ok(Self {
            tokens: weights.expect("token_embd.weight", &shape)?,
            head: Linear::load(weights, "token_embd", shape, false)?,
            positions: vector(weights, "position_embd.weight", &[spec.max_tokens, hidden])?,
            layers: (0..spec.decoder_layers).map(layer).collect::<Result<_, _>>()?,
            norm: LayerNorm::load(weights, "output_norm", spec)?,
        })
    }

    pub(super) fn linears(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.layers.iter_mut().flat_map(Layer::linears).chain([&mut self.head])
    }
}
