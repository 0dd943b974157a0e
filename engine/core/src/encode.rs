//! The trait between schedulers and models that turn a whole input into numbers at once: texts in
//! embedders, classifiers and rerankers, images in those that see.

use std::sync::Arc;

use crate::{EngineError, Tiles, TokenId};

/// Something that computes one row of numbers for each text: an encoder, or a decoder that is
/// asked for its last state.
///
/// What an input's row is does not depend on the inputs beside it, up to the rounding that
/// [`EncoderInfo`]'s maker states.
pub trait Encoder: Send {
    /// Fixed for the life of the encoder.
    fn info(&self) -> &EncoderInfo;

    /// Computes all `inputs` in one pass, without padding; one row each, in their order.
    ///
    /// The caller keeps to [`max_input_len`](EncoderInfo::max_input_len) and
    /// [`max_batch_tokens`](EncoderInfo::max_batch_tokens).
    ///
    /// # Errors
    /// [`EngineError`]; then nothing was computed.
    fn encode(&mut self, inputs: &[Arc<EncodeInput>]) -> Result<Vec<Vec<f32>>, EngineError>;
}

/// One text, or two that are read together, as tokens; or an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodeInput {
    /// All tokens, special ones too.
    pub tokens: Vec<TokenId>,
    /// Which of the two texts each token belongs to (BERT's token types); empty if all are 0.
    pub type_ids: Vec<u8>,
    /// Leading tokens that the model reads and the pooling leaves out: an instruction's.
    pub not_pooled: usize,
    /// Of an image, what is to be seen. It counts as a token for each row that comes of it.
    pub tiles: Option<Tiles>,
}

/// What an encoder is.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderInfo {
    /// Tokens of the longest input.
    pub max_input_len: usize,
    /// Tokens of one batch; at least `max_input_len`.
    pub max_batch_tokens: usize,
    /// Token ids are below this.
    pub vocab_size: usize,
    /// What its rows are.
    pub output: EncoderOutput,
}

/// What the numbers of a row mean.
#[derive(Clone, Debug, PartialEq)]
pub enum EncoderOutput {
    /// An embedding: a point in space.
    Embedding {
        /// Numbers in a row.
        dim: usize,
        /// Whether rows have length 1 as they come.
        normalized: bool,
        /// Whether the model was trained so that the first numbers alone are an embedding too
        /// (Matryoshka); `None` if its files do not say.
        truncatable: Option<bool>,
    },
    /// A row of numbers for each token, one after another: what a language model reads in place of
    /// embeddings.
    Rows {
        /// Numbers of a token's row.
        width: usize,
    },
    /// One logit for each label, before any function.
    Logits {
        /// The labels' names, by index (`id2label`).
        labels: Vec<String>,
        /// What makes logits into scores, as the model's files say.
        activation: Activation,
    },
}

/// From logits to scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Logits as they are.
    Identity,
    /// Each on its own: several labels may hold, or there is one.
    Sigmoid,
    /// Over all labels: one of them holds.
    Softmax,
}

impl Activation {
    /// Makes logits into scores.
    pub fn apply(self, row: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Sigmoid => row.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
            Self::Softmax => {
                let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                row.iter_mut().for_each(|x| *x = (*x - most).exp());
                let sum: f32 = row.iter().sum();
                row.iter_mut().for_each(|x| *x /= sum);
            }
        }
    }
}
