//! The declared decoder: what a model's `config.json` or GGUF metadata says, as data.
//!
//! Invariant: executors run the spec and ask nothing of the model's name; a family is a parser
//! that makes a spec, never a forward pass.

/// A decoder-only transformer. All sizes are in elements.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderSpec {
    /// What the files call the architecture ("llama", "mistral"); for display only.
    pub family: String,
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Transformer blocks.
    pub num_layers: usize,
    /// Query heads.
    pub num_heads: usize,
    /// Key and value heads; divides `num_heads`.
    pub num_kv_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Width of the gated feed-forward layer.
    pub intermediate_size: usize,
    /// Positions the model was made for.
    pub max_model_len: usize,
    /// Added to the variance in RMSNorm.
    pub norm_eps: f32,
    /// Rotary position embedding.
    pub rope: RopeSpec,
    /// A position attends to itself and the `window - 1` before it; `None` to all before it.
    pub sliding_window: Option<usize>,
    /// Whether query, key and value projections have biases.
    pub attention_bias: bool,
    /// Whether the output head is the token embedding.
    pub tie_word_embeddings: bool,
}

/// Rotary position embedding over the first `dim` elements of each head.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeSpec {
    /// Which elements form a pair.
    pub style: RopeStyle,
    /// Base of the geometric series of wavelengths.
    pub theta: f32,
    /// Rotated elements per head; even, at most `head_dim`.
    pub dim: usize,
    /// How the frequencies are stretched for longer contexts.
    pub scaling: RopeScaling,
}

/// Which elements of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeStyle {
    /// `(i, i + dim/2)`: Hugging Face's layout.
    Half,
    /// `(2i, 2i + 1)`: llama.cpp's layout for the Llama family (weights permuted to match).
    Interleaved,
}

/// Stretching of rotary frequencies.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// As trained.
    None,
    /// All frequencies divided by `factor`.
    Linear {
        /// The divisor.
        factor: f32,
    },
    /// Llama 3.1's rule: long wavelengths are stretched, short ones kept, between them blended.
    Llama3 {
        /// The divisor for the longest.
        factor: f32,
        /// Wavelengths above `original_max_len / low_freq_factor` are divided wholly.
        low_freq_factor: f32,
        /// Wavelengths below `original_max_len / high_freq_factor` are kept.
        high_freq_factor: f32,
        /// Context length of the original training.
        original_max_len: usize,
    },
    /// A divisor for each pair of elements (`rope_freqs.weight` in a GGUF file); `dim / 2` long.
    Factors(Vec<f32>),
}
