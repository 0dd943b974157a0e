//! Memory that lives as long as the executor: activations of one step, and the KV cache.

use kernels::attention::CacheLayout;

use crate::spec::DecoderSpec;

/// Activations, each `max_rows` rows.
pub(super) struct Buffers {
    pub(super) max_rows: usize,
    /// Residual stream, `hidden_size` wide.
    pub(super) x: Vec<f32>,
    /// Its norm; also the output of a block before it is added.
    pub(super) normed: Vec<f32>,
    /// Queries, `num_heads · head_dim` wide.
    pub(super) q: Vec<f32>,
    /// Keys, `num_kv_heads · head_dim` wide.
    pub(super) k: Vec<f32>,
    /// Values, likewise.
    pub(super) v: Vec<f32>,
    /// Attention's output, as wide as the queries.
    pub(super) attended: Vec<f32>,
    /// Gate, `intermediate_size` wide.
    pub(super) gate: Vec<f32>,
    /// Up projection, likewise.
    pub(super) up: Vec<f32>,
    /// Cosines of each row's rotation, `rope.dim / 2` wide.
    pub(super) cos: Vec<f32>,
    /// Sines, likewise.
    pub(super) sin: Vec<f32>,
    /// Normed rows that go to the output head.
    pub(super) gathered: Vec<f32>,
    /// Their logits, `vocab_size` wide.
    pub(super) logits: Vec<f32>,
}

impl Buffers {
    /// For at most `max_rows` input tokens and `max_logit_rows` rows of logits.
    pub(super) fn new(spec: &DecoderSpec, max_rows: usize, max_logit_rows: usize) -> Self {
        let rows = |width: usize| vec![0.0; max_rows * width];
        let (q_width, kv_width) =
            (spec.num_heads * spec.head_dim, spec.num_kv_heads * spec.head_dim);
        Self {
            max_rows,
            x: rows(spec.hidden_size),
            normed: rows(spec.hidden_size),
            q: rows(q_width),
            k: rows(kv_width),
            v: rows(kv_width),
            attended: rows(q_width),
            gate: rows(spec.intermediate_size),
            up: rows(spec.intermediate_size),
            cos: rows(spec.rope.dim / 2),
            sin: rows(spec.rope.dim / 2),
            gathered: vec![0.0; max_logit_rows * spec.hidden_size],
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

/// Keys and values of one layer, each `num_blocks · layout.block_len()` long.
pub(super) struct LayerCache {
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

/// Keys and values of all layers.
pub(super) struct KvCache {
    pub(super) layout: CacheLayout,
    pub(super) num_blocks: usize,
    pub(super) layers: Vec<LayerCache>,
}

impl KvCache {
    /// As many blocks as fit in `bytes`, or the bytes of one block if none does, or of all if
    /// the system does not give them. It hands out the zeroed pages when they are first written,
    /// so unused blocks take no memory.
    pub(super) fn new(layout: CacheLayout, num_layers: usize, bytes: usize) -> Result<Self, usize> {
        let block_bytes = 2 * num_layers * layout.block_len() * size_of::<f32>();
        let num_blocks = (bytes / block_bytes).min(u32::MAX as usize);
        if num_blocks == 0 {
            return Err(block_bytes);
        }
        let zeros = || {
            bytemuck::try_zeroed_vec(num_blocks * layout.block_len())
                .map_err(|()| num_blocks * block_bytes)
        };
        let layers = (0..num_layers)
            .map(|_| Ok(LayerCache { keys: zeros()?, values: zeros()? }))
            .collect::<Result<_, usize>>()?;
        Ok(Self { layout, num_blocks, layers })
    }
}
