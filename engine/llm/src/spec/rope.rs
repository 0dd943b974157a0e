//! Rotary position embedding, and how its frequencies are stretched.

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
    /// Multiplies what is rotated (YaRN and LongRoPE; 1 elsewhere).
    pub magnitude: f32,
}

impl RopeSpec {
    /// The angle, in radians, by which each further position turns each pair: `dim / 2` values.
    ///
    /// As `_compute_*_rope_parameters` in transformers' `modeling_rope_utils.py`.
    pub fn inv_freq(&self) -> Vec<f32> {
        let pair = |i: usize| {
            let inv_freq = f64::from(self.theta).powf(-((2 * i) as f64) / self.dim as f64);
            self.scaling.stretch((i, self), inv_freq) as f32
        };
        (0..self.dim / 2).map(pair).collect()
    }
}

impl RopeScaling {
    fn stretch(&self, (pair, rope): (usize, &RopeSpec), inv_freq: f64) -> f64 {
        match self {
            Self::None => inv_freq,
            Self::Linear { factor } => inv_freq / f64::from(*factor),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_len } => {
                let (low, high) = (f64::from(*low_freq_factor), f64::from(*high_freq_factor));
                let turns = *original_max_len as f64 * inv_freq / std::f64::consts::TAU;
                // 0: stretched, 1: kept; between them, if there is anything, in proportion.
                let kept = match turns {
                    turns if turns <= low => 0.0,
                    turns if turns >= high => 1.0,
                    turns => (turns - low) / (high - low),
                };
                (1.0 - kept) * inv_freq / f64::from(*factor) + kept * inv_freq
            }
            Self::Yarn(yarn) => {
                let kept = 1.0 - yarn.ramp(rope, pair);
                (1.0 - kept) * inv_freq / f64::from(yarn.factor) + kept * inv_freq
            }
            Self::Factors(factors) => inv_freq / f64::from(factors[pair]),
        }
    }
}

impl Yarn {
    /// How far a pair is stretched: 0 for those that turn fast, 1 for those that turn slowly.
    fn ramp(&self, rope: &RopeSpec, pair: usize) -> f64 {
        let (dim, theta) = (rope.dim as f64, f64::from(rope.theta));
        // The pair that turns so often in the original context, as a fraction.
        let pair_of = |turns: f32| {
            let wavelength =
                self.original_max_len as f64 / (f64::from(turns) * std::f64::consts::TAU);
            dim * wavelength.ln() / (2.0 * theta.ln())
        };
        let (mut low, mut high) = (pair_of(self.beta_fast), pair_of(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, mut high) = (low.max(0.0), high.min(dim - 1.0));
        if low == high {
            high += 0.001;
        }
        ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0)
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
    /// YaRN (Peng et al. 2023).
    Yarn(Yarn),
    /// A divisor for each pair of elements (`rope_freqs.weight` in a GGUF file); `dim / 2` long.
    Factors(Vec<f32>),
}

/// YaRN: pairs that turn slowly are stretched, fast ones kept, between them in proportion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Yarn {
    /// The divisor for the slowest.
    pub factor: f32,
    /// Pairs that turn more often than this in the original context are kept.
    pub beta_fast: f32,
    /// Pairs that turn less often are divided wholly.
    pub beta_slow: f32,
    /// Context length of the original training.
    pub original_max_len: usize,
    /// Whether the ends of what is between are rounded to whole pairs.
    pub truncate: bool,
}
