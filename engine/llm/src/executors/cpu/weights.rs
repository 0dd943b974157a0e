//! The decoder's tensors by role, shapes checked once.

use kernels::{matmul::Matrix, quant::dequantize};

use crate::{
    spec::DecoderSpec,
    weights::{Tensor, Weights, WeightsError},
};

/// A matrix as stored, with its bias.
pub(super) struct Linear {
    tensor: Tensor,
    bias: Option<Vec<f32>>,
}

impl Linear {
    fn load(weights: &Weights, name: &str, shape: [usize; 2]) -> Result<Self, WeightsError> {
        Ok(Self { tensor: weights.expect(&format!("{name}.weight"), &shape)?, bias: None })
    }

    fn with_bias(mut self, weights: &Weights, name: &str) -> Result<Self, WeightsError> {
        let rows = self.tensor.shape()[0];
        self.bias = Some(vector(weights, &format!("{name}.bias"), rows)?);
        Ok(self)
    }

    /// For the kernels.
    pub(super) fn matrix(&self) -> Matrix<'_> {
        let shape = self.tensor.shape();
        Matrix {
            data: self.tensor.bytes(),
            dtype: self.tensor.dtype(),
            rows: shape[0],
            cols: shape[1],
            bias: self.bias.as_deref(),
        }
    }
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

/// All tensors of the decoder.
pub(super) struct DecoderWeights {
    pub(super) embedding: Linear,
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
            embedding: Linear::load(weights, "token_embd", table)?,
            layers: (0..spec.num_layers)
                .map(|layer| LayerWeights::load(spec, weights, layer))
                .collect::<Result<_, _>>()?,
            output_norm: vector(weights, "output_norm.weight", spec.hidden_size)?,
            output: Linear::load(weights, head, table)?,
        })
    }
}
