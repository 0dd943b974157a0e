//! A decoder as an embedder: its last states, normed, of an input's last token or of all.
//!
//! Invariant: an input is a sequence of its own that begins at position 0; nothing of it is kept in
//! the cache for the next batch.

use std::sync::Arc;

use engine_core::{EncodeInput, Encoder, EncoderInfo, EngineError};
use engine_llm::executors::{
    Batch, Executor, Span as Sequence,
    cpu::{self, CpuExecutor, CpuOptions},
};
use kernels::{
    Isa,
    attention::{BLOCK_SIZE, KvDtype},
    packed::Scratch,
    pool::Pool,
};

use super::{EncoderError, EncoderOptions, Precision, batch, groups::Span, output::Output};
use crate::{files::DecoderModel, spec::Pooling};

/// Decoder and buffers in memory.
pub struct DecoderEmbedder {
    info: EncoderInfo,
    executor: CpuExecutor,
    batch: Batch,
    output: Output,
    /// Whether only the last token's state counts.
    only_last: bool,
    hidden: usize,
    /// States that are pooled, and whose they are.
    states: Vec<f32>,
    spans: Vec<Span>,
    isa: Isa,
    /// What stages after pooling are computed with: little work, by the calling thread.
    pool: Pool,
    scratch: Scratch,
}

impl DecoderEmbedder {
    /// Takes the tensors of `model`.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen, there is no memory for weights or cache, or threads
    /// cannot be started.
    pub fn new(model: DecoderModel, options: EncoderOptions) -> Result<Self, EncoderError> {
        let DecoderModel { decoder, output, meaning, weights, max_input_len, .. } = model;
        let hidden = decoder.spec.hidden_size;
        let max_rows = options.max_batch_tokens.max(1);
        let only_last = output.poolings.iter().all(|pooling| *pooling == Pooling::Last);
        let isa = Isa::detect();
        let (kv_dtype, precision) = match options.precision {
            Precision::Exact => (KvDtype::F32, cpu::Precision::Exact),
            Precision::Fast => (KvDtype::fastest(isa), cpu::Precision::Fast),
        };
        let num_columns = max_rows.div_ceil(BLOCK_SIZE) * 2;
        let cpu_options = CpuOptions {
            threads: options.threads,
            kv_cache_bytes: cpu::kv_cache_bytes(&decoder.spec, kv_dtype, num_columns),
            kv_dtype,
            max_step_tokens: max_rows,
            precision,
            packed: options.packed,
            max_adapter_rank: 0,
        };
        let info = EncoderInfo {
            max_input_len: max_input_len.min(max_rows),
            max_batch_tokens: max_rows,
            vocab_size: decoder.spec.vocab_size,
            output: meaning,
        };
        let executor = CpuExecutor::new(decoder.spec, &decoder.weights, cpu_options)?;
        let output = Output::load(hidden, &output, &weights)?;
        let threads = |source| EncoderError::Threads { threads: 1, source };
        Ok(Self {
            info,
            executor,
            batch: Batch::default(),
            scratch: Scratch::new(1, output.widest()),
            output,
            only_last,
            hidden,
            states: vec![0.0; if only_last { num_columns } else { max_rows } * hidden],
            spans: Vec::with_capacity(num_columns),
            isa,
            pool: Pool::new(1).map_err(threads)?,
        })
    }

    /// Takes as many of the checked `inputs`, at least one, as there is room for.
    fn set(&mut self, inputs: &[Arc<EncodeInput>]) {
        let num_groups = self.executor.groups().count() as usize;
        let Batch { tokens, positions, blocks, spans, .. } = &mut self.batch;
        tokens.clear();
        positions.clear();
        blocks.clear();
        spans.clear();
        for input in inputs {
            let (first_row, num_rows) = (tokens.len(), input.tokens.len());
            let (first_block, num_blocks) = (blocks.len(), num_rows.div_ceil(BLOCK_SIZE));
            if first_row + num_rows > self.info.max_batch_tokens
                || first_block + num_blocks * num_groups > self.executor.num_blocks()
            {
                break;
            }
            tokens.extend_from_slice(&input.tokens);
            positions.extend(0..num_rows as u32);
            blocks.extend(first_block as u32..(first_block + num_blocks * num_groups) as u32);
            spans.push(Sequence { first_row, num_rows, first_block, num_blocks });
        }
    }

    /// Reads the states that are pooled.
    fn read(&mut self) {
        self.spans.clear();
        let mut row = 0;
        for sequence in &self.batch.spans {
            let end = sequence.first_row + sequence.num_rows;
            let first = if self.only_last { end - 1 } else { sequence.first_row };
            self.spans.push(Span { first_row: row, num_rows: end - first });
            for from in first..end {
                let to = &mut self.states[row * self.hidden..(row + 1) * self.hidden];
                self.executor.hidden(from, to);
                row += 1;
            }
        }
    }
}

impl Encoder for DecoderEmbedder {
    fn info(&self) -> &EncoderInfo {
        &self.info
    }

    fn encode(&mut self, inputs: &[Arc<EncodeInput>]) -> Result<Vec<Vec<f32>>, EngineError> {
        batch::check(&self.info, 0, inputs)?;
        let mut rows = Vec::with_capacity(inputs.len());
        let mut rest = inputs;
        while !rest.is_empty() {
            self.set(rest);
            self.executor.forward(&self.batch)?;
            self.read();
            let (taken, left) = rest.split_at(self.spans.len());
            let Self { output, states, spans, isa, pool, scratch, .. } = self;
            output.rows((states, taken), spans, (*isa, pool, scratch), &mut rows);
            rest = left;
        }
        Ok(rows)
    }
}
