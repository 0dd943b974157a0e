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
    /// Whether the projection out of attention has a bias.
    pub attention_output_bias: bool,
    /// Whether the output head is the token embedding.
    pub tie_word_embeddings: bool,
}

impl DecoderSpec {
    /// Every tensor of the decoder: its canonical name (GGUF's), and its shape, outermost first.
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let q = self.num_heads * self.head_dim;
        let kv = self.num_kv_heads * self.head_dim;
        let mut shapes = vec![
            ("token_embd.weight".into(), vec![self.vocab_size, hidden]),
            ("output_norm.weight".into(), vec![hidden]),
        ];
        if !self.tie_word_embeddings {
            shapes.push(("output.weight".into(), vec![self.vocab_size, hidden]));
        }
        for layer in 0..self.num_layers {
            let mut add = |role: &str, shape: &[usize]| {
                shapes.push((format!("blk.{layer}.{role}"), shape.into()));
            };
            add("attn_norm.weight", &[hidden]);
            add("attn_q.weight", &[q, hidden]);
            add("attn_k.weight", &[kv, hidden]);
            add("attn_v.weight", &[kv, hidden]);
            add("attn_output.weight", &[hidden, q]);
            if self.attention_bias {
                add("attn_q.bias", &[q]);
                add("attn_k.bias", &[kv]);
                add("attn_v.bias", &[kv]);
            }
            if self.attention_output_bias {
                add("attn_output.bias", &[hidden]);
            }
            add("ffn_norm.weight", &[hidden]);
            add("ffn_gate.weight", &[inner, hidden]);
            add("ffn_up.weight", &[inner, hidden]);
            add("ffn_down.weight", &[hidden, inner]);
        }
        shapes
    }
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

impl RopeSpec {
    /// The angle, in radians, by which each further position turns each pair: `dim / 2` values.
    ///
    /// As `_compute_*_rope_parameters` in transformers' `modeling_rope_utils.py`.
    pub fn inv_freq(&self) -> Vec<f32> {
        let pair = |i: usize| {
            let inv_freq = f64::from(self.theta).powf(-((2 * i) as f64) / self.dim as f64);
            self.scaling.stretch(i, inv_freq) as f32
        };
        (0..self.dim / 2).map(pair).collect()
    }
}

impl RopeScaling {
    fn stretch(&self, pair: usize, inv_freq: f64) -> f64 {
        match self {
            Self::None => inv_freq,
            Self::Linear { factor } => inv_freq / f64::from(*factor),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_len } => {
                let (low, high) = (f64::from(*low_freq_factor), f64::from(*high_freq_factor));
                let turns = *original_max_len as f64 * inv_freq / std::f64::consts::TAU;
                // 0: stretched, 1: kept; between them in proportion.
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - kept) * inv_freq / f64::from(*factor) + kept * inv_freq
            }
            Self::Factors(factors) => inv_freq / f64::from(factors[pair]),
        }
    }
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
