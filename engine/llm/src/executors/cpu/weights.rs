//! The decoder's tensors by role, shapes checked once.

use std::{io, path::Path};

use kernels::{
    matmul::Matrix,
    packed::{self, Kind},
    pool::Pool,
    quant::dequantize,
};

use super::packed::{PackedTensor, pack};
use crate::{
    spec::DecoderSpec,
    weights::{Tensor, Weights, WeightsError},
};

/// A matrix with its bias, packed if its type can be and that is wanted.
pub(super) struct Linear {
    pub(super) weight: Weight,
    bias: Option<Vec<f32>>,
}

/// How a matrix is kept.
pub(super) enum Weight {
    Stored(Tensor),
    Packed(PackedTensor),
}

impl Linear {
    fn load(weights: &Weights, name: &str, shape: [usize; 2]) -> Result<Self, WeightsError> {
        let tensor = weights.expect(&format!("{name}.weight"), &shape)?;
        Ok(Self { weight: Weight::Stored(tensor), bias: None })
    }

    fn with_bias(mut self, weights: &Weights, name: &str) -> Result<Self, WeightsError> {
        if let Weight::Stored(tensor) = &self.weight {
            self.bias = Some(vector(weights, &format!("{name}.bias"), tensor.shape()[0])?);
        }
        Ok(self)
    }

    pub(super) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    /// The form of activations that it is multiplied with.
    pub(super) fn kind(&self) -> Kind {
        match &self.weight {
            Weight::Stored(_) => Kind::F32,
            Weight::Packed(packed) => packed.matrix(None).format.activations(),
        }
    }
}

/// A stored tensor, for the kernels.
pub(super) fn stored<'a>(tensor: &'a Tensor, bias: Option<&'a [f32]>) -> Matrix<'a> {
    let shape = tensor.shape();
    Matrix { data: tensor.bytes(), dtype: tensor.dtype(), rows: shape[0], cols: shape[1], bias }
}

/// A small tensor read to `f32` at once.
fn vector(weights: &Weights, name: &str, len: usize) -> Result<Vec<f32>, WeightsError> {
    let tensor = weights.expect(name, &[len])?;
    let mut values = vec![0.0; len];
    dequantize(tensor.dtype(), tensor.bytes(), &mut values);
    Ok(values)
}

/// One transformer block.
pub(super) struct LayerWeights {
    pub(super) attn_norm: Vec<f32>,
    pub(super) q: Linear,
    pub(super) k: Linear,
    pub(super) v: Linear,
    pub(super) attn_output: Linear,
    pub(super) ffn_norm: Vec<f32>,
    pub(super) gate: Linear,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

impl LayerWeights {
    fn load(spec: &DecoderSpec, weights: &Weights, layer: usize) -> Result<Self, WeightsError> {
        let hidden = spec.hidden_size;
        let (q_width, kv_width) =
            (spec.num_heads * spec.head_dim, spec.num_kv_heads * spec.head_dim);
        let name = |role: &str| format!("blk.{layer}.{role}");
        let linear = |role: &str, rows, cols| Linear::load(weights, &name(role), [rows, cols]);
        let biased = |role: &str, rows, cols, bias| {
            let linear = linear(role, rows, cols)?;
            if bias { linear.with_bias(weights, &name(role)) } else { Ok(linear) }
        };
        let projection = |role: &str, rows| biased(role, rows, hidden, spec.attention_bias);
        let norm = |role: &str| vector(weights, &format!("blk.{layer}.{role}.weight"), hidden);
        Ok(Self {
            attn_norm: norm("attn_norm")?,
            q: projection("attn_q", q_width)?,
            k: projection("attn_k", kv_width)?,
            v: projection("attn_v", kv_width)?,
            attn_output: biased("attn_output", hidden, q_width, spec.attention_output_bias)?,
            ffn_norm: norm("ffn_norm")?,
            gate: linear("ffn_gate", spec.intermediate_size, hidden)?,
            up: linear("ffn_up", spec.intermediate_size, hidden)?,
            down: linear("ffn_down", hidden, spec.intermediate_size)?,
        })
    }
}

impl LayerWeights {
    /// Gate and up projection, if they can be computed in one.
    pub(super) fn gated(&self) -> Option<[packed::Matrix<'_>; 2]> {
        match (&self.gate.weight, &self.up.weight) {
            (Weight::Packed(gate), Weight::Packed(up)) => {
                let both = [gate.matrix(self.gate.bias()), up.matrix(self.up.bias())];
                let plain = both.iter().all(|matrix| matrix.bias.is_none());
                (plain && both[0].format == both[1].format).then_some(both)
            }
            _ => None,
        }
    }

    fn all(&mut self) -> [&mut Linear; 7] {
        let Self { q, k, v, attn_output, gate, up, down, .. } = self;
        [q, k, v, attn_output, gate, up, down]
    }
}

/// All tensors of the decoder.
pub(super) struct DecoderWeights {
    /// Read a row at a time, so always as it is stored.
    pub(super) embedding: Tensor,
    pub(super) layers: Vec<LayerWeights>,
    pub(super) output_norm: Vec<f32>,
    pub(super) output: Linear,
}

impl DecoderWeights {
    /// Finds and checks every tensor that the spec needs.
    pub(super) fn load(spec: &DecoderSpec, weights: &Weights) -> Result<Self, WeightsError> {
        let table = [spec.vocab_size, spec.hidden_size];
        let head = if spec.tie_word_embeddings { "token_embd" } else { "output" };
        Ok(Self {
            embedding: weights.expect("token_embd.weight", &table)?,
            layers: (0..spec.num_layers)
                .map(|layer| LayerWeights::load(spec, weights, layer))
                .collect::<Result<_, _>>()?,
            output_norm: vector(weights, "output_norm.weight", spec.hidden_size)?,
            output: Linear::load(weights, head, table)?,
        })
    }

    /// Packs what can be packed; see [`pack`].
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn pack(&mut self, path: Option<&Path>, pool: &mut Pool) -> io::Result<()> {
        let mut all: Vec<&mut Linear> =
            self.layers.iter_mut().flat_map(LayerWeights::all).collect();
        all.push(&mut self.output);
        let tensors: Vec<&Tensor> = all
            .iter()
            .filter_map(|linear| match &linear.weight {
                Weight::Stored(tensor) => Some(tensor),
                Weight::Packed(_) => None,
            })
            .collect();
        let packed = pack(&tensors, path, pool)?;
        for (linear, packed) in all.into_iter().zip(packed) {
            if let Some(packed) = packed {
                linear.weight = Weight::Packed(packed);
            }
        }
        Ok(())
    }
}
