//! The memory of the KV cache.
//!
//! Invariant: a block holds sixteen positions of one group of layers, and all blocks are alike.

use engine_core::CacheGroups;
use kernels::attention::{Cache, CacheLayout, KvDtype, MAX_INT8_HEAD_DIM};
use memmap2::MmapMut;

use super::{CpuError, groups::LayerGroups};
use crate::{spec::DecoderSpec, weights::mmap};

/// How keys and values lie.
pub(super) struct KvShape {
    /// Of one group's blocks.
    layout: CacheLayout,
    groups: LayerGroups,
}

impl KvShape {
    pub(super) fn of(spec: &DecoderSpec, dtype: KvDtype) -> Self {
        let attention = &spec.attention;
        let groups = LayerGroups::of(spec);
        let layout = CacheLayout {
            num_layers: groups.size,
            num_kv_heads: attention.num_kv_heads,
            head_dim: attention.head_dim,
            // Sums of bytes have room for heads that are not longer.
            dtype: match dtype {
                KvDtype::Int8 if attention.head_dim > MAX_INT8_HEAD_DIM => KvDtype::Bf16,
                dtype => dtype,
            },
        };
        Self { layout, groups }
    }

    pub(super) fn block_bytes(&self) -> usize {
        self.layout.block_bytes()
    }

    /// A block of every group.
    fn column_bytes(&self) -> usize {
        self.block_bytes().saturating_mul(self.groups.counts.count() as usize)
    }
}

/// Bytes that so many columns take (blocks of sixteen positions, one of each group of layers).
pub fn kv_cache_bytes(spec: &DecoderSpec, dtype: KvDtype, num_columns: usize) -> usize {
    KvShape::of(spec, dtype).column_bytes().saturating_mul(num_columns)
}

/// Keys and values of all layers.
pub(super) struct KvCache {
    shape: KvShape,
    num_blocks: usize,
    memory: MmapMut,
}

impl KvCache {
    /// As many blocks as fit in `bytes`, at least one of each group. The system hands out the
    /// zeroed pages when they are first written, so unused blocks take no memory.
    pub(super) fn new(shape: KvShape, bytes: usize) -> Result<Self, CpuError> {
        let (block_bytes, needed) = (shape.block_bytes(), shape.column_bytes());
        if bytes < needed {
            return Err(CpuError::CacheTooSmall { wanted: bytes, needed });
        }
        let num_blocks = (bytes / block_bytes).min(u32::MAX as usize);
        let needed = num_blocks * block_bytes;
        let memory = mmap::anonymous(needed).map_err(|_| CpuError::OutOfMemory { needed })?;
        Ok(Self { shape, num_blocks, memory })
    }

    pub(super) fn num_blocks(&self) -> usize {
        self.num_blocks
    }

    pub(super) fn groups(&self) -> CacheGroups {
        self.shape.groups.counts
    }

    /// A layer's group, and its keys and values in the group's blocks.
    pub(super) fn layer(&mut self, layer: usize) -> (usize, Cache<'_>) {
        let (group, place) = self.shape.groups.places[layer];
        (group, Cache::new(self.shape.layout, place, &mut self.memory))
    }
}
