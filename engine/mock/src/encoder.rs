//! An encoder without weights: rows are made of the tokens alone.
//!
//! Invariant: an input's row depends on that input only; a batch that breaks a rule of
//! [`Encoder`] is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine_core::{EncodeInput, Encoder, EncoderInfo, EncoderOutput, EngineError};

use crate::Fault;
use crate::memory::mix;

/// An encoder whose rows are hashes.
pub struct MockEncoder {
    info: EncoderInfo,
    delay: Duration,
    faults: BTreeMap<u64, Fault>,
    next_batch: u64,
}

impl MockEncoder {
    /// An encoder that says this of itself.
    pub fn new(info: EncoderInfo) -> Self {
        Self { info, delay: Duration::ZERO, faults: BTreeMap::new(), next_batch: 0 }
    }

    /// Takes this long for a batch.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Has the batch with this index fail; [`Fault::Sequence`] makes its row too short.
    #[must_use]
    pub fn with_fault(mut self, batch_idx: u64, fault: Fault) -> Self {
        self.faults.insert(batch_idx, fault);
        self
    }

    /// The row of an input: numbers from -1 to 1, of length 1 together if the encoder says so.
    pub fn row(info: &EncoderInfo, input: &EncodeInput) -> Vec<f32> {
        let types = input.type_ids.iter().map(|id| u64::from(*id));
        let tokens = input.tokens.iter().map(|token| u64::from(*token) << 8);
        let pixels =
            input.tiles.iter().flat_map(|tiles| &tiles.pixels).map(|x| u64::from(*x) << 40);
        let all = tokens.chain(types).chain([input.not_pooled as u64]).chain(pixels);
        let seed = all.fold(1, |hash: u64, next| mix(hash ^ next));
        let (len, normalized) = match &info.output {
            EncoderOutput::Embedding { dim, normalized, .. } => (*dim, *normalized),
            EncoderOutput::Rows { width } => (*width * input.tokens.len(), false),
            EncoderOutput::Logits { labels, .. } => (labels.len(), false),
        };
        let number = |idx: u64| (mix(seed ^ mix(idx + 1)) % 20_001) as f32 / 10_000.0 - 1.0;
        let mut row: Vec<f32> = (0..len as u64).map(number).collect();
        if normalized {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter_mut().for_each(|x| *x /= norm);
        }
        row
    }

    fn check(&self, inputs: &[Arc<EncodeInput>]) -> Result<(), String> {
        let EncoderInfo { max_input_len, max_batch_tokens, vocab_size, .. } = self.info;
        let num_tokens: usize = inputs.iter().map(|input| input.tokens.len()).sum();
        if inputs.is_empty() || num_tokens > max_batch_tokens {
            return Err(format!("{num_tokens} tokens in a batch, limit {max_batch_tokens}"));
        }
        for EncodeInput { tokens, type_ids, not_pooled, .. } in inputs.iter().map(|input| &**input)
        {
            let len = tokens.len();
            if len == 0 || len > max_input_len || *not_pooled >= len {
                return Err(format!(
                    "{len} tokens, {not_pooled} not pooled, limit {max_input_len}"
                ));
            }
            if !type_ids.is_empty() && type_ids.len() != len {
                return Err(format!("{} types for {len} tokens", type_ids.len()));
            }
            if tokens.iter().any(|token| *token as usize >= vocab_size) {
                return Err("a token is outside the vocabulary".into());
            }
        }
        Ok(())
    }
}

impl Encoder for MockEncoder {
    fn info(&self) -> &EncoderInfo {
        &self.info
    }

    fn encode(&mut self, inputs: &[Arc<EncodeInput>]) -> Result<Vec<Vec<f32>>, EngineError> {
        let batch_idx = self.next_batch;
        self.next_batch += 1;
        if !self.delay.is_zero() {
            std::thread::sleep(self.delay);
        }
        self.check(inputs).map_err(EngineError::InvalidStep)?;
        let mut rows: Vec<_> = inputs.iter().map(|input| Self::row(&self.info, input)).collect();
        match self.faults.remove(&batch_idx) {
            None => {}
            Some(Fault::Error(text)) => return Err(EngineError::Device(text)),
            Some(Fault::Panic) => panic!("injected into batch {batch_idx}"),
            Some(Fault::Sequence(entry)) => {
                let num_rows = rows.len();
                rows[entry % num_rows].pop();
            }
        }
        Ok(rows)
    }
}
