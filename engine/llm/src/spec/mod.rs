//! The declared decoder: what a model's `config.json` or GGUF metadata says, as data.
//!
//! Invariant: executors run the spec and ask nothing of the model's name; a family is a parser
//! that makes a spec, never a forward pass.

mod attention;
mod rope;
mod tensors;

pub use kernels::{activation::Activation, norm::NormKind};

pub use self::{
    attention::{AttentionSpec, LatentSpec, QkNormOver, QkNormSpec, TemperatureSpec},
    rope::{RopeScaling, RopeSpec, RopeStyle, Yarn},
};

/// A decoder-only transformer. All sizes are in elements.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderSpec {
    /// What the files call the architecture ("llama", "mistral"); for display only.
    pub family: String,
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Positions the model was made for.
    pub max_model_len: usize,
    /// How tokens come in.
    pub embedding: EmbeddingSpec,
    /// All layers' attention.
    pub attention: AttentionSpec,
    /// All norms of the residual stream.
    pub norm: NormSpec,
    /// Where norms stand in a layer.
    pub block: BlockSpec,
    /// What branches are multiplied with before they are added to the residual stream.
    pub residual_scale: f32,
    /// Rotary position embeddings that layers choose from.
    pub ropes: Vec<RopeSpec>,
    /// What differs from layer to layer, in order.
    pub layers: Vec<LayerSpec>,
    /// Feed-forward layers that are not a mixture of experts.
    pub feed_forward: FeedForwardSpec,
    /// Those that are.
    pub experts: Option<ExpertsSpec>,
    /// How logits come out.
    pub head: HeadSpec,
}

/// From tokens to the residual stream.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingSpec {
    /// Multiplies the rows of the table.
    pub scale: f32,
    /// Rows of a table of positions that are added, where position embeddings are learned.
    pub learned_positions: Option<usize>,
}

/// A norm of the residual stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormSpec {
    /// Which.
    pub kind: NormKind,
    /// Added to the variance.
    pub eps: f32,
    /// Whether something is added after the weights.
    pub bias: bool,
}

/// Where norms stand, and whether attention and feed-forward follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockSpec {
    /// `x += attention(norm(x)); x += feed_forward(norm(x))`.
    PreNorm,
    /// `x += norm(attention(x)); x += norm(feed_forward(x))` (OLMo 2).
    PostNorm,
    /// Norms before and after both (Gemma 2).
    BothNorms,
    /// `x += attention(norm(x)) + feed_forward(norm(x))`, one norm for both (Falcon, Command-R).
    Parallel,
    /// The same with a norm for each (GPT-NeoX).
    ParallelTwoNorms,
}

impl BlockSpec {
    /// Whether there is a norm before attention.
    pub fn has_pre_norm(self) -> bool {
        self != Self::PostNorm
    }

    /// Whether there is one before the feed-forward layer, of its own.
    pub fn has_own_ffn_norm(self) -> bool {
        matches!(self, Self::PreNorm | Self::BothNorms | Self::ParallelTwoNorms)
    }

    /// Whether there are norms after both.
    pub fn has_post_norms(self) -> bool {
        matches!(self, Self::PostNorm | Self::BothNorms)
    }

    /// Whether the feed-forward layer sees what attention sees.
    pub fn is_parallel(self) -> bool {
        matches!(self, Self::Parallel | Self::ParallelTwoNorms)
    }
}

/// What differs from layer to layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSpec {
    /// Which of the spec's rotary embeddings; `None` for no positions at all.
    pub rope: Option<usize>,
    /// A position attends to itself and the `window - 1` before it; `None` to all before it.
    pub window: Option<usize>,
    /// Whether it attends within chunks of [`AttentionSpec::chunk`] positions only.
    pub chunked: bool,
    /// Whether the feed-forward layer is a mixture of experts.
    pub experts: bool,
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

/// A mixture of experts.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertsSpec {
    /// How many there are.
    pub num_experts: usize,
    /// How many a token goes to.
    pub num_active: usize,
    /// Each of them.
    pub expert: FeedForwardSpec,
    /// How a token's experts are chosen.
    pub router: RouterSpec,
    /// Inner width of an expert that every token goes to, if there is one.
    pub shared_width: Option<usize>,
    /// Whether what the shared one gives is multiplied with `sigmoid(w · x)` (Qwen2-MoE).
    pub shared_gate: bool,
}

/// How a token's experts are chosen and weighed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouterSpec {
    /// From the router's logits to scores.
    pub score: RouterScore,
    /// Whether the logits have a bias.
    pub bias: bool,
    /// Whether something is added to scores for choosing, but not for weighing (DeepSeek-V3).
    pub choice_bias: bool,
    /// Experts in groups, of which only some are chosen from.
    pub groups: Option<GroupsSpec>,
    /// Whether weights are divided by their sum.
    pub normalize: bool,
    /// Multiplies all weights.
    pub scale: f32,
    /// Whether weights multiply what goes into experts rather than what comes out (Llama 4).
    pub on_input: bool,
}

/// From logits to scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterScore {
    /// A softmax over all experts.
    Softmax,
    /// Each on its own.
    Sigmoid,
}

/// Groups of experts (DeepSeek).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupsSpec {
    /// How many groups; divides the number of experts.
    pub num_groups: usize,
    /// From how many of them to choose.
    pub num_active: usize,
    /// How many of a group's best are added up to its score: 1 or 2.
    pub best: usize,
}

/// From the residual stream to logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadSpec {
    /// Whether its matrix is the token embedding.
    pub tied: bool,
    /// Multiplies logits.
    pub scale: f32,
    /// `cap · tanh(logit / cap)` of every logit.
    pub softcap: Option<f32>,
}

impl DecoderSpec {
    /// Transformer blocks.
    pub fn num_layers(&self) -> usize {
        self.layers.len()
    }

    /// The narrowest window of any layer, for display.
    pub fn sliding_window(&self) -> Option<usize> {
        self.layers.iter().filter_map(|layer| layer.window).min()
    }
}
