//! What a decoder will take of the memory, known from shapes alone.
//!
//! Invariant: nothing of the weights is read, and nothing of size allocated, to find that it does
//! not fit.

use engine_weights::packed;

use super::{
    CpuError, CpuOptions, MAX_LOGIT_ROWS, Precision, cache::KvShape, weights::DecoderWeights,
};
use crate::spec::DecoderSpec;

/// Bytes of what stays in memory while a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Matrices as they will be kept, and tables. Mapped from a file or not: each token reads them.
    pub weights: u64,
    /// Keys and values.
    pub kv_cache: u64,
    /// Activations of one step, about.
    pub buffers: u64,
}

impl Needs {
    pub(super) fn of(
        spec: &DecoderSpec,
        decoder: &mut DecoderWeights,
        (shape, options): (&KvShape, &CpuOptions),
    ) -> Self {
        let mut weights = decoder.embedding.bytes().len();
        weights += decoder.positions.as_ref().map_or(0, |table| table.bytes().len());
        let packs = options.precision == Precision::Fast;
        decoder.for_each_stored(&mut |tensor| {
            let packed = packs.then(|| packed::byte_len(tensor)).flatten();
            weights = weights.saturating_add(packed.unwrap_or(tensor.bytes().len()));
        });
        let block = shape.block_bytes();
        Self {
            weights: weights as u64,
            kv_cache: (options.kv_cache_bytes / block * block) as u64,
            buffers: buffers(spec, options.max_step_tokens) as u64,
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights.saturating_add(self.kv_cache).saturating_add(self.buffers)
    }

    /// Refuses what is not there; where it is not known how much there is, nothing.
    pub(super) fn check(self, available: Option<u64>) -> Result<(), CpuError> {
        match available {
            Some(available) if self.total() > available => {
                Err(CpuError::TooLarge { needs: self, available })
            }
            _ => Ok(()),
        }
    }

    /// What whoever asked may change so that it fits.
    pub(super) fn advice(&self, available: u64) -> String {
        match available.checked_sub(self.weights.saturating_add(self.buffers)) {
            Some(left) if left > 0 => {
                format!("a KV cache of up to {left} bytes fits (--kv-cache)")
            }
            _ => "the weights alone are too large: use a smaller model, or one quantised to \
                  fewer bits (model quantize)"
                .to_owned(),
        }
    }
}

/// The larger of what a step keeps: rows in single precision, beside what they are converted to.
fn buffers(spec: &DecoderSpec, max_rows: usize) -> usize {
    let attention = &spec.attention;
    let experts = spec.experts.as_ref();
    let width = experts.map_or(spec.feed_forward.width, |experts| {
        spec.feed_forward.width.max(experts.expert.width).max(experts.shared_width.unwrap_or(0))
    });
    let mixture = experts.map_or(0, |experts| experts.num_experts + 3 * spec.hidden_size);
    let row = 4 * spec.hidden_size
        + 3 * attention.q_width()
        + 2 * attention.kv_width()
        + 3 * width
        + mixture;
    let logits = MAX_LOGIT_ROWS * (spec.vocab_size + 3 * spec.hidden_size);
    (row.saturating_mul(max_rows)).saturating_add(logits).saturating_mul(size_of::<f32>())
}
