//! The executor on our own CPU kernels: a window's features once through the encoder, then the
//! decoder a token at a time; weights packed once, buffers made once.
//!
//! Invariant: what a window gives depends on its features and tokens only, not on what was computed
//! before, nor on the number of threads.

mod decoder;
mod front;
mod queries;
mod weights;

use std::path::PathBuf;

use engine_core::TokenId;
use engine_encoder::{EncoderError, EncoderOptions, Precision, Stack};
use engine_weights::{WeightsError, linear::pack_all};

use self::{decoder::Decoder, front::Front};
use crate::{
    alignment::{Alignment, warp},
    files::Model,
    spec::{KERNEL, WhisperSpec},
};

/// How to set a model up.
#[derive(Clone, Debug)]
pub struct SpeechOptions {
    /// Threads, at least 1.
    pub threads: usize,
    /// In which numbers to compute.
    pub precision: Precision,
    /// Where packed weights are kept from one start to the next, if they are: those of the
    /// encoder's layers, and all others.
    pub packed: Option<[PathBuf; 2]>,
}

/// Why a model could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SpeechError {
    /// The encoder's layers could not be.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// A tensor is missing or has the wrong shape or type.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The system does not give memory for the packed weights.
    #[error("there is no memory for the weights: {0}")]
    Packing(std::io::Error),
}

/// A model and its buffers in memory.
pub struct Executor {
    spec: WhisperSpec,
    front: Front,
    /// Its threads compute all else, too.
    stack: Stack,
    decoder: Decoder,
    alignment: Alignment,
    /// The encoder's rows of the window that is decoded.
    rows: Vec<f32>,
}

impl Executor {
    /// Takes the tensors of `model`.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen, memory for weights is not to be had, or threads cannot
    /// be started.
    pub fn new(model: &Model, options: &SpeechOptions) -> Result<Self, SpeechError> {
        let spec = model.spec.clone();
        let [of_layers, of_others] = match &options.packed {
            Some(paths) => paths.each_ref().map(|path| Some(path.clone())),
            None => [None, None],
        };
        let of_encoder = EncoderOptions {
            threads: options.threads,
            max_batch_tokens: spec.positions(),
            precision: options.precision,
            packed: of_layers,
        };
        let widest = (KERNEL * spec.hidden_size().max(spec.num_mels)).max(spec.decoder_width);
        let mut stack = Stack::new(&spec.encoder, &model.encoder, &of_encoder, widest)?;
        let mut front = weights::Front::load(&spec, &model.encoder)?;
        let mut decoder = weights::Decoder::load(&spec, &model.decoder)?;
        let (isa, pool, _) = stack.parallel();
        if options.precision == Precision::Fast {
            let all = front.linears().chain(decoder.linears()).collect();
            pack_all(all, of_others.as_deref(), pool).map_err(SpeechError::Packing)?;
        }
        let threads = options.threads.max(1);
        Ok(Self {
            rows: vec![0.0; spec.positions() * spec.hidden_size()],
            front: Front::new(&spec, front),
            decoder: Decoder::new(&spec, decoder, (options.precision, isa, threads)),
            alignment: model.alignment.clone(),
            stack,
            spec,
        })
    }

    /// What it computes.
    pub fn spec(&self) -> &WhisperSpec {
        &self.spec
    }

    /// Reads a window: from now on tokens are decoded of it. `features` are
    /// [`window_frames`](WhisperSpec::window_frames) rows of `num_mels`. Returns the encoder's
    /// rows.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn encode(&mut self, features: &[f32]) -> &[f32] {
        let Self { spec, front, stack, decoder, rows, .. } = self;
        front.run(features, stack.parallel(), rows);
        stack.run(rows, &[spec.positions()]);
        decoder.read(rows, stack.parallel());
        rows
    }

    /// Computes `tokens`, the first at `position`, where all before it were computed, and adds to
    /// `logits` those of the tokens whose places in `tokens` are `wanted`, in order.
    ///
    /// # Panics
    /// If a token is not in the vocabulary, or there are more than the model has positions.
    pub fn decode(
        &mut self,
        (tokens, position): (&[TokenId], usize),
        wanted: &[usize],
        logits: &mut Vec<f32>,
    ) {
        self.decoder.run((tokens, position), wanted, self.stack.parallel(), logits);
    }
    /// The first position of the window, of `num_positions` that count, at which each of `tokens`
    /// sees what comes after it, where those `before` it were computed first; `None` if nobody
    /// wants it any more, which `stop` says.
    ///
    /// # Panics
    /// As [`decode`](Self::decode), or if the window has not so many positions.
    pub fn align(
        &mut self,
        tokens: (&[TokenId], &[TokenId]),
        num_positions: usize,
        stop: &dyn Fn() -> bool,
    ) -> Option<Vec<usize>> {
        let Self { decoder, alignment, rows, stack, .. } = self;
        if tokens.1.is_empty() || num_positions == 0 {
            return Some(vec![0; tokens.1.len()]);
        }
        let sight = (rows.as_slice(), num_positions);
        let weights = decoder.look(tokens, sight, alignment, stack.parallel(), stop)?;
        let (matrix, num_positions) = weights.finish();
        Some(warp(&matrix, num_positions))
    }
}
