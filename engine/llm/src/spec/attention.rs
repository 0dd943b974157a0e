//! Who attends to what, and how: the part of the spec that all layers share.

use kernels::norm::NormKind;

/// Attention with grouped heads, or through a latent vector.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionSpec {
    /// Query heads.
    pub num_heads: usize,
    /// Key and value heads; divides `num_heads`.
    pub num_kv_heads: usize,
    /// Width of one head of queries and keys; even.
    pub head_dim: usize,
    /// Multiplies `q · k`.
    pub scale: f32,
    /// Whether query, key and value projections have biases.
    pub bias: bool,
    /// Whether the projection out of attention has a bias.
    pub output_bias: bool,
    /// Norms of queries and keys before (or after) they are rotated.
    pub qk_norm: Option<QkNormSpec>,
    /// `cap · tanh(score / cap)` of every score (Gemma 2).
    pub softcap: Option<f32>,
    /// Whether each head has a score that takes weight and gives nothing (gpt-oss).
    pub sinks: bool,
    /// Keys and values out of one latent vector (DeepSeek's multi-head latent attention).
    pub latent: Option<LatentSpec>,
    /// Positions of a chunk, outside of which layers that are chunked do not attend (Llama 4).
    pub chunk: Option<usize>,
    /// What queries of layers without positions are multiplied with (Llama 4).
    pub temperature: Option<TemperatureSpec>,
}

/// `1 + scale · ln(1 + ⌊(position + 1) / floor⌋)`: far along, queries tell keys apart more sharply
/// ("Scalable-Softmax Is Superior for Attention", 2025).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TemperatureSpec {
    /// Positions over which it does not change.
    pub floor: usize,
    /// How much it changes.
    pub scale: f32,
}

impl TemperatureSpec {
    /// The factor at a position.
    pub fn at(&self, position: usize) -> f32 {
        let steps = ((position as f32 + 1.0) / self.floor as f32).floor();
        steps.ln_1p() * self.scale + 1.0
    }
}

/// Multi-head latent attention (DeepSeek-V2, 2024): the cache holds the latent vector and one
/// rotated key for all heads.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentSpec {
    /// Width of the latent vector of queries; `None` where they come straight out of the stream.
    pub q_rank: Option<usize>,
    /// Width of the latent vector of keys and values.
    pub kv_rank: usize,
    /// Elements of a head that are not rotated.
    pub nope_dim: usize,
    /// Elements of a head that are.
    pub rope_dim: usize,
    /// Width of a head's values.
    pub value_dim: usize,
}

/// Norms of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QkNormSpec {
    /// Which norm.
    pub kind: NormKind,
    /// Over which elements, with how many weights.
    pub over: QkNormOver,
    /// Added to the variance.
    pub eps: f32,
}

/// What a norm of queries or keys goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNormOver {
    /// Each head; all heads have the same weights.
    Head,
    /// Each head; each has weights of its own.
    EachHead,
    /// All heads together.
    All,
    /// Each head, without weights, in the layers that rotate; after rotating is the same as before
    /// (Llama 4).
    Unweighted,
}

impl AttentionSpec {
    /// Width of all queries of a row.
    pub fn q_width(&self) -> usize {
        self.num_heads * self.head_dim
    }

    /// Width of all keys of a row.
    pub fn kv_width(&self) -> usize {
        self.num_kv_heads * self.head_dim
    }

    /// Width of what all heads give.
    pub fn out_width(&self) -> usize {
        let value_dim = self.latent.as_ref().map_or(self.head_dim, |latent| latent.value_dim);
        self.num_heads * value_dim
    }
}
