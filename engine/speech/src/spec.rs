//! The declared model: what Whisper's `config.json` says, as data.
//!
//! Invariant: a spec made here has sizes in range that fit each other; the executor runs it and
//! reads the tensors that it names and no others.

use engine_encoder::{
    StackSpec,
    spec::{AttentionSpec, BlockSpec, FeedForwardSpec, LayerSpec, NormSpec},
};
use engine_weights::{Fault, config::Config};
use kernels::activation::Activation;

use crate::mel::{FFT_LEN, FRAMES_PER_SECOND, HOP, SAMPLE_RATE};

/// Frames that become one position of the encoder: the second convolution takes every other.
pub(crate) const FRAMES_PER_POSITION: usize = 2;
/// What PyTorch's norms add to the variance.
const EPS: f32 = 1e-5;
/// Frames, or rows, that a convolution sees at a time.
pub(crate) const KERNEL: usize = 3;

/// An encoder of sound and a decoder that writes. All sizes are in elements.
#[derive(Clone, Debug, PartialEq)]
pub struct WhisperSpec {
    /// Rows of the token embedding, which the logits are computed with too.
    pub vocab_size: usize,
    /// Numbers of a frame of features.
    pub num_mels: usize,
    /// Layers of the encoder.
    pub encoder: StackSpec,
    /// Layers of the decoder: their number, ...
    pub decoder_layers: usize,
    /// ... heads, ...
    pub decoder_heads: usize,
    /// ... and the inner width of their feed-forward layers.
    pub decoder_width: usize,
    /// Tokens of the decoder at most.
    pub max_tokens: usize,
    /// The function in feed-forward layers; between convolutions it is always GELU.
    pub activation: Activation,
}

impl WhisperSpec {
    /// Width of both residual streams.
    pub fn hidden_size(&self) -> usize {
        self.encoder.hidden_size
    }

    /// Positions of the encoder: those of one window.
    pub fn positions(&self) -> usize {
        self.encoder.max_input_len
    }

    /// Frames of one window.
    pub fn window_frames(&self) -> usize {
        self.positions() * FRAMES_PER_POSITION
    }

    /// Samples of one window.
    pub fn window_samples(&self) -> usize {
        self.window_frames() * HOP
    }

    /// Elements of a head of the decoder.
    pub fn head_dim(&self) -> usize {
        self.hidden_size() / self.decoder_heads
    }

    /// All norms.
    pub(crate) fn norm(&self) -> NormSpec {
        self.encoder.norm
    }

    /// Reads `config.json`.
    pub(crate) fn read(config: &Config<'_>) -> Result<Self, Fault> {
        config.only("is_encoder_decoder", true)?;
        config.only("scale_embedding", false)?;
        let hidden: usize = config.require("d_model")?;
        let sizes = |layers: &str, heads: &str, width: &str| {
            Ok::<[usize; 3], Fault>([
                config.require(layers)?,
                config.require(heads)?,
                config.require(width)?,
            ])
        };
        let encoder = sizes("encoder_layers", "encoder_attention_heads", "encoder_ffn_dim")?;
        let decoder = sizes("decoder_layers", "decoder_attention_heads", "decoder_ffn_dim")?;
        let positions: usize = config.require("max_source_positions")?;
        let max_tokens: usize = config.require("max_target_positions")?;
        let vocab_size: usize = config.require("vocab_size")?;
        let num_mels: usize = config.require("num_mel_bins")?;
        Fault::check_sizes(&[
            ("d_model", hidden, 1 << 14),
            ("encoder_layers", encoder[0], 1 << 8),
            ("encoder_attention_heads", encoder[1], 1 << 9),
            ("encoder_ffn_dim", encoder[2], 1 << 17),
            ("decoder_layers", decoder[0], 1 << 8),
            ("decoder_attention_heads", decoder[1], 1 << 9),
            ("decoder_ffn_dim", decoder[2], 1 << 17),
            ("vocab_size", vocab_size, 1 << 21),
            ("num_mel_bins", num_mels, 1 << 8),
            ("max_source_positions", positions, 1 << 13),
            ("max_target_positions", max_tokens, 1 << 13),
        ])?;
        check_heads("encoder_attention_heads", hidden, encoder[1])?;
        check_heads("decoder_attention_heads", hidden, decoder[1])?;
        for (field, size) in
            [("max_source_positions", positions), ("max_target_positions", max_tokens)]
        {
            // A transform is mirrored at a window's ends, and a prompt takes half of the tokens.
            if size < 16 {
                return Err(Fault::field(field, format!("{size} is below 16")));
            }
        }
        let activation = activation(config)?;
        let [num_layers, num_heads, width] = encoder;
        let encoder = StackSpec {
            hidden_size: hidden,
            max_input_len: positions,
            attention: AttentionSpec {
                num_heads,
                bias: true,
                key_bias: false,
                output_bias: true,
                relative: None,
            },
            norm: NormSpec { eps: EPS, bias: true },
            block: BlockSpec::PreNorm { first_norm: true },
            ropes: Vec::new(),
            layers: vec![LayerSpec { rope: None, window: None }; num_layers],
            feed_forward: FeedForwardSpec { width, gated: false, activation, bias: true },
        };
        let [decoder_layers, decoder_heads, decoder_width] = decoder;
        Ok(Self {
            vocab_size,
            num_mels,
            encoder,
            decoder_layers,
            decoder_heads,
            decoder_width,
            max_tokens,
            activation,
        })
    }

    /// Holds `preprocessor_config.json` against what is computed here.
    pub(crate) fn check_features(&self, config: &Config<'_>) -> Result<(), Fault> {
        config.only("feature_size", self.num_mels)?;
        config.only("sampling_rate", SAMPLE_RATE)?;
        config.only("hop_length", HOP)?;
        config.only("n_fft", FFT_LEN)?;
        config.only("dither", 0.0)?;
        config.only("do_normalize", false)?;
        config.only("chunk_length", self.window_frames() / FRAMES_PER_SECOND)
    }
}

fn check_heads(field: &str, hidden: usize, heads: usize) -> Result<(), Fault> {
    /// As long as those of any model.
    const MAX_HEAD_DIM: usize = 512;
    let dim = hidden / heads;
    if !hidden.is_multiple_of(heads) || !dim.is_multiple_of(2) || dim > MAX_HEAD_DIM {
        let what = format!("{heads} heads of a width of {hidden}: not even numbers up to 512");
        return Err(Fault::field(field, what));
    }
    Ok(())
}

fn activation(config: &Config<'_>) -> Result<Activation, Fault> {
    const FIELD: &str = "activation_function";
    match config.require::<String>(FIELD)?.as_str() {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        "silu" | "swish" => Ok(Activation::Silu),
        other => {
            let what = format!("{other:?}; supported are gelu, gelu_new, relu and silu");
            Err(Fault::field(FIELD, what))
        }
    }
}
