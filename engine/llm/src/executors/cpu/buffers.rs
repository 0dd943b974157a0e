//! Memory that lives as long as the executor: activations of one step, and the KV cache.

use kernels::{
    attention::CacheLayout,
    packed::{Activations, Kind},
};
use memmap2::MmapMut;

use super::weights::{DecoderWeights, Linear};
use crate::{spec::DecoderSpec, weights::mmap};

/// Activations, each `max_rows` rows.
pub(super) struct Buffers {
    pub(super) max_rows: usize,
    /// Residual stream, `hidden_size` wide.
    pub(super) x: Vec<f32>,
    /// Its norm.
    pub(super) normed: Activations,
    /// Queries, `num_heads · head_dim` wide.
    pub(super) q: Vec<f32>,
    /// Keys, `num_kv_heads · head_dim` wide.
    pub(super) k: Vec<f32>,
    /// Values, likewise.
    pub(super) v: Vec<f32>,
    /// Attention's output, as wide as the queries.
    pub(super) attended: Vec<f32>,
    /// The same for the product that follows.
    pub(super) attended_in: Activations,
    /// Gate and up projection, `intermediate_size` wide, where they are not computed in one.
    pub(super) gate: Vec<f32>,
    pub(super) up: Vec<f32>,
    /// The gated product.
    pub(super) gated: Activations,
    /// Cosines of each row's rotation, `rope.dim / 2` wide.
    pub(super) cos: Vec<f32>,
    /// Sines, likewise.
    pub(super) sin: Vec<f32>,
    /// Rows that go to the output head, and their norm.
    pub(super) last: Vec<f32>,
    pub(super) last_normed: Activations,
    /// Their logits, `vocab_size` wide.
    pub(super) logits: Vec<f32>,
}

impl Buffers {
    /// For at most `max_rows` input tokens and `max_logit_rows` rows of logits.
    pub(super) fn new(
        spec: &DecoderSpec,
        weights: &DecoderWeights,
        max_rows: usize,
        max_logit_rows: usize,
    ) -> Self {
        let rows = |width: usize| vec![0.0; max_rows * width];
        let (q_width, kv_width) =
            (spec.num_heads * spec.head_dim, spec.num_kv_heads * spec.head_dim);
        let kinds = |of: fn(&super::weights::LayerWeights) -> Vec<&Linear>| -> Vec<Kind> {
            weights.layers.iter().flat_map(of).map(Linear::kind).collect()
        };
        let normed = kinds(|layer| vec![&layer.q, &layer.k, &layer.v, &layer.gate, &layer.up]);
        let gates_apart = weights.layers.iter().any(|layer| layer.gated().is_none());
        let apart = if gates_apart { spec.intermediate_size } else { 0 };
        let width = spec.hidden_size;
        Self {
            max_rows,
            x: rows(width),
            normed: Activations::new(max_rows, width, &normed),
            q: rows(q_width),
            k: rows(kv_width),
            v: rows(kv_width),
            attended: rows(q_width),
            attended_in: Activations::new(
                max_rows,
                q_width,
                &kinds(|layer| vec![&layer.attn_output]),
            ),
            gate: rows(apart),
            up: rows(apart),
            gated: Activations::new(
                max_rows,
                spec.intermediate_size,
                &kinds(|layer| vec![&layer.down]),
            ),
            cos: rows(spec.rope.dim / 2),
            sin: rows(spec.rope.dim / 2),
            last: vec![0.0; max_logit_rows * width],
            last_normed: Activations::new(max_logit_rows, width, &[weights.output.kind()]),
            logits: vec![0.0; max_logit_rows * spec.vocab_size],
        }
    }

    /// Computes the rotation of each row's position, in `f32` as the reference does.
    pub(super) fn set_rotations(&mut self, inv_freq: &[f32], positions: &[u32]) {
        let width = inv_freq.len();
        for (row, position) in positions.iter().enumerate() {
            for (i, freq) in inv_freq.iter().enumerate() {
                let (sin, cos) = (*position as f32 * freq).sin_cos();
                self.cos[row * width + i] = cos;
                self.sin[row * width + i] = sin;
            }
        }
    }
}

/// Keys and values of all layers.
pub(super) struct KvCache {
    pub(super) layout: CacheLayout,
    pub(super) num_blocks: usize,
    pub(super) memory: MmapMut,
}

impl KvCache {
    /// As many blocks as fit in `bytes`, or the bytes of one block if none does, or of all if
    /// the system does not give them. It hands out the zeroed pages when they are first written,
    /// so unused blocks take no memory.
    pub(super) fn new(layout: CacheLayout, bytes: usize) -> Result<Self, usize> {
        let block_bytes = layout.block_bytes();
        let num_blocks = (bytes / block_bytes).min(u32::MAX as usize);
        if num_blocks == 0 {
            return Err(block_bytes);
        }
        let memory =
            mmap::anonymous(num_blocks * block_bytes).map_err(|_| num_blocks * block_bytes)?;
        Ok(Self { layout, num_blocks, memory })
    }
}
