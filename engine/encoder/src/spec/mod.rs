//! The declared encoder: what a model's `config.json` says, as data.
//!
//! Invariant: executors run the spec and read the tensors that it names (GGUF's names) and no
//! others; a family is a parser that makes a spec, never a forward pass.

mod tensors;

pub use kernels::activation::Activation;

/// A transformer of text whose positions see both ways. All sizes are in elements.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderSpec {
    /// What the files call the architecture ("bert", "modernbert"); for display only.
    pub family: &'static str,
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// How tokens come in.
    pub embedding: EmbeddingSpec,
    /// All that comes after it.
    pub stack: StackSpec,
}

/// Layers over rows of whatever they may stand for: tokens, patches of an image, frames of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct StackSpec {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Rows of the longest input.
    pub max_input_len: usize,
    /// All layers' attention.
    pub attention: AttentionSpec,
    /// All norms, which are layer norms.
    pub norm: NormSpec,
    /// Where norms stand.
    pub block: BlockSpec,
    /// Rotary position embeddings over whole heads that layers choose from, by the base of their
    /// wavelengths.
    pub ropes: Vec<f32>,
    /// What differs from layer to layer, in order.
    pub layers: Vec<LayerSpec>,
    /// All layers' feed-forward layers.
    pub feed_forward: FeedForwardSpec,
}

/// From tokens to the residual stream: a sum of rows of tables, and its norm.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingSpec {
    /// Where position embeddings are learned.
    pub positions: Option<PositionsSpec>,
    /// Rows of the table of token types; 0 if there is none.
    pub token_types: usize,
}

/// Learned position embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionsSpec {
    /// Rows of the table.
    pub rows: usize,
    /// The token that does not count as a position and has row `pad` itself, where positions
    /// begin after that row (RoBERTa).
    pub pad: Option<u32>,
}

impl PositionsSpec {
    /// The row of the first position.
    pub fn first(&self) -> usize {
        self.pad.map_or(0, |pad| pad as usize + 1)
    }
}

/// Attention of every position to every other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionSpec {
    /// Heads; divides `hidden_size`.
    pub num_heads: usize,
    /// Whether query and value projections have biases.
    pub bias: bool,
    /// Whether key projections have them.
    pub key_bias: bool,
    /// Whether the projection out of attention has a bias.
    pub output_bias: bool,
    /// What is added to scores by distance (MPNet).
    pub relative: Option<RelativeSpec>,
}

/// Distances in buckets, as T5 has them: half of them for each direction, of those half for short
/// distances one by one, and the others wider and wider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelativeSpec {
    /// Buckets in all; a multiple of 4.
    pub buckets: usize,
    /// From this distance on, all are in the last bucket.
    pub max_distance: usize,
}

impl RelativeSpec {
    /// The bucket of a key `distance` after (before, if negative) the position that asks: MPNet's
    /// `relative_position_bucket`.
    pub fn bucket(&self, distance: isize) -> usize {
        let half = self.buckets / 2;
        let after = if distance > 0 { half } else { 0 };
        let (far, exact) = (distance.unsigned_abs(), half / 2);
        if far < exact {
            return after + far;
        }
        // In `f32`, as the reference does.
        let share = (far as f32 / exact as f32).ln()
            / (self.max_distance as f32 / exact as f32).ln()
            * (half - exact) as f32;
        after + (exact + share as usize).min(half - 1)
    }
}

/// A norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormSpec {
    /// Added to the variance.
    pub eps: f32,
    /// Whether something is added after the weights.
    pub bias: bool,
}

/// Where norms stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockSpec {
    /// `x = norm(x + attention(x)); x = norm(x + feed_forward(x))` (BERT).
    PostNorm,
    /// `x += attention(norm(x)); x += feed_forward(norm(x))`, and a norm after all layers.
    PreNorm {
        /// Whether the first layer has a norm before attention (ModernBERT's has none).
        first_norm: bool,
    },
}

/// What differs from layer to layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSpec {
    /// Which of the spec's rotary embeddings; `None` for none.
    pub rope: Option<usize>,
    /// A position attends to itself and `window - 1` either way; `None` to all.
    pub window: Option<usize>,
}

/// A feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedForwardSpec {
    /// Its inner width.
    pub width: usize,
    /// `down(f(gate(x)) · up(x))`, or else `down(f(up(x)))`.
    pub gated: bool,
    /// The function `f`.
    pub activation: Activation,
    /// Whether its projections have biases.
    pub bias: bool,
}

/// From the rows of an input's tokens to its one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputSpec {
    /// Their results lie one after another; at least one.
    pub poolings: Vec<Pooling>,
    /// What is done to the row then, in order.
    pub stages: Vec<Stage>,
}

/// From many rows to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The first one.
    Cls,
    /// The last one.
    Last,
    /// The largest of each element.
    Max,
    /// Their mean.
    Mean,
    /// Their sum by the root of their number.
    MeanSqrtLen,
    /// Their mean, the `i`-th counted `i` times.
    WeightedMean,
}

/// A step after pooling.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// `f(W · x + b)`.
    Dense(DenseSpec),
    /// A layer norm with the tensors of this name.
    Norm {
        /// Name of its tensors, without `.weight`.
        name: String,
        /// Elements.
        width: usize,
        /// Which.
        norm: NormSpec,
    },
    /// Divided by its length.
    Normalize,
}

/// A dense layer.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseSpec {
    /// Name of its tensors, without `.weight`.
    pub name: String,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// Whether it has a bias.
    pub bias: bool,
    /// The function `f`.
    pub function: Function,
}

/// A function of elements after pooling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// None.
    Identity,
    /// `tanh(x)`.
    Tanh,
    /// One of those in feed-forward layers.
    Activation(Activation),
}

impl OutputSpec {
    /// Elements of a row after pooling, and after each stage.
    pub fn widths(&self, hidden: usize) -> impl Iterator<Item = usize> {
        let pooled = hidden * self.poolings.len();
        let mut last = pooled;
        let stages: Vec<_> = (self.stages.iter())
            .map(|stage| {
                if let Stage::Dense(dense) = stage {
                    last = dense.rows;
                }
                last
            })
            .collect();
        std::iter::once(pooled).chain(stages)
    }

    /// Elements of a row at the end.
    pub fn dim(&self, hidden: usize) -> usize {
        self.widths(hidden).last().unwrap_or(hidden)
    }
}

impl StackSpec {
    /// Elements of one head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.attention.num_heads
    }

    /// Whether the layer of this number has a norm before attention.
    pub fn has_attn_norm(&self, layer: usize) -> bool {
        match self.block {
            BlockSpec::PostNorm => false,
            BlockSpec::PreNorm { first_norm } => first_norm || layer > 0,
        }
    }
}
