//! The executor on our own CPU kernels: all inputs' tokens in one run of rows without padding,
//! attention within each input; weights packed once, buffers made once.
//!
//! Invariant: an input's row is the same, bit for bit, alone and in every batch, since its tokens'
//! rows are (`stack.rs`). Once lists have grown, a batch allocates nothing but the rows it returns.

mod attention;
mod batch;
mod decoder;
mod groups;
mod lane;
mod layer;
mod output;
mod stack;
mod tables;
mod weights;

use std::{path::PathBuf, sync::Arc};

use engine_core::{EncodeInput, Encoder, EncoderInfo, EngineError};
use engine_weights::WeightsError;

use self::{batch::Batch, output::Output, tables::Tables};
pub use self::{decoder::DecoderEmbedder, stack::Stack};
use crate::{files::Model, spec::EncoderSpec};

/// In which numbers products are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Weights and activations in 14 bits, or, on Intel's matrix unit, in bfloat16; keys and values
    /// in bfloat16 (bytes where that is slow). Quantised weights as they are stored.
    #[default]
    Fast,
    /// The dequantised mathematics in `f32`: slow, to compare with.
    Exact,
}

/// How to set an encoder up.
#[derive(Clone, Debug)]
pub struct EncoderOptions {
    /// Threads, at least 1.
    pub threads: usize,
    /// Tokens of a batch; inputs are no longer, whatever the model was made for.
    pub max_batch_tokens: usize,
    /// In which numbers to compute.
    pub precision: Precision,
    /// Where packed weights are kept from one start to the next, if they are.
    pub packed: Option<PathBuf>,
}

/// Why an encoder could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// The environment asks for instructions that there are none of.
    #[error("{0}")]
    Isa(String),
    /// A tensor is missing or has the wrong shape or type.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The system does not give memory for the packed weights.
    #[error("there is no memory for the weights: {0}")]
    Packing(std::io::Error),
    /// A decoder could not be set up.
    #[error(transparent)]
    Decoder(#[from] engine_llm::executors::cpu::CpuError),
    /// The worker threads could not be started.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Encoder and buffers in memory.
pub struct TextEncoder {
    info: EncoderInfo,
    spec: EncoderSpec,
    tables: Tables,
    stack: Stack,
    batch: Batch,
    /// Residual stream, `hidden_size` wide.
    x: Vec<f32>,
    output: Output,
}

impl TextEncoder {
    /// Takes the tensors of `model`.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen, memory for weights is not to be had, or threads cannot
    /// be started.
    pub fn new(model: &Model, options: EncoderOptions) -> Result<Self, EncoderError> {
        let spec = model.spec.clone();
        let hidden = spec.stack.hidden_size;
        let max_rows = options.max_batch_tokens.max(1);
        let info = EncoderInfo {
            max_input_len: spec.stack.max_input_len.min(max_rows),
            max_batch_tokens: max_rows,
            vocab_size: spec.vocab_size,
            output: model.meaning.clone(),
        };
        let output = Output::load(hidden, &model.output, &model.weights)?;
        Ok(Self {
            tables: Tables::load(&spec, &model.weights)?,
            stack: Stack::new(&spec.stack, &model.weights, &options, output.widest())?,
            batch: Batch::default(),
            x: vec![0.0; max_rows * hidden],
            info,
            spec,
            output,
        })
    }
}

impl Encoder for TextEncoder {
    fn info(&self) -> &EncoderInfo {
        &self.info
    }

    fn encode(&mut self, inputs: &[Arc<EncodeInput>]) -> Result<Vec<Vec<f32>>, EngineError> {
        batch::check(&self.info, self.spec.embedding.token_types, inputs)?;
        let Self { spec, tables, stack, batch, x, output, .. } = self;
        batch.set(spec, inputs);
        let x = &mut x[..batch.rows() * spec.stack.hidden_size];
        stack.forward(x, &batch.spans, &|lane, rows, x| tables.embed(batch, rows, (x, lane)));
        let mut rows = Vec::with_capacity(inputs.len());
        output.rows((x, inputs), &batch.spans, stack.parallel(), &mut rows);
        Ok(rows)
    }
}
