//! How keys and values lie in memory: in the order in which products read them.
//!
//! A *tile* is the keys, or the values, of one block and one head, in lines of 64 bytes. Keys:
//! sixteen positions side by side, a line for each element (or pair of elements, of bfloat16).
//! Values: sixteen elements side by side, lines for each position (or pair). Bytes lie in fours,
//! the second and third of which change places (see [`crate::simd::Dot::widen`]), and have a scale
//! for each position: a line of those of keys and one of those of values end the tile. Invariant:
//! a block is written from its first position on, and that write zeroes the values of all others.

use super::{BLOCK_SIZE, Run, write::write_head};
use crate::{
    isa::Isa,
    pool::Pool,
    simd::{LANES, LINE},
};

/// Fewer rows are written by the calling thread.
const FEW_ROWS: usize = 8;

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KvDtype {
    /// As they are.
    F32,
    /// bfloat16, and so are queries and weights in their products.
    #[default]
    Bf16,
    /// Signed bytes with a scale for each vector of a position and head; queries and weights have
    /// 16 bits in their products.
    Int8,
}

impl KvDtype {
    /// The one that products are fastest in: bytes where bfloat16 has no products of its own and
    /// must be widened to floats.
    pub fn fastest(isa: Isa) -> Self {
        match isa {
            Isa::Avx2 | Isa::Avx2Vnni => Self::Int8,
            _ => Self::Bf16,
        }
    }

    /// Elements of one lane of a line.
    pub(super) const fn per_lane(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Int8 => 4,
        }
    }

    /// Lines of scales beside keys and values.
    const fn scale_lines(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 => 0,
            Self::Int8 => 2,
        }
    }
}

/// Shape of the cache: `[block][layer][kv_head][keys, values]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLayout {
    /// Layers.
    pub num_layers: usize,
    /// Key and value heads.
    pub num_kv_heads: usize,
    /// Elements of one head; even.
    pub head_dim: usize,
    /// How they are stored.
    pub dtype: KvDtype,
}

impl CacheLayout {
    /// Lines of the elements of one position: whole vectors.
    pub(super) fn value_lines(&self) -> usize {
        self.head_dim.div_ceil(LANES)
    }

    /// Lines of a tile of keys.
    pub(super) fn key_lines(&self) -> usize {
        self.head_dim.div_ceil(self.dtype.per_lane())
    }

    /// Operands that a query has: one for each line of keys, or for each half of one, of bytes.
    pub(super) fn query_steps(&self) -> usize {
        self.key_lines() * if self.dtype == KvDtype::Int8 { 2 } else { 1 }
    }

    /// From a tile of values to its head's scales.
    pub(super) fn value_bytes(&self) -> usize {
        BLOCK_SIZE / self.dtype.per_lane() * self.value_lines() * LINE
    }

    /// Bytes of both tiles of one head.
    pub(super) fn head_bytes(&self) -> usize {
        (self.key_lines() + self.dtype.scale_lines()) * LINE + self.value_bytes()
    }

    /// Bytes of one block, all layers.
    pub fn block_bytes(&self) -> usize {
        self.num_layers * self.num_kv_heads * self.head_bytes()
    }
}

/// One layer's keys and values, shared by threads that write disjoint positions or only read.
pub struct Cache<'a> {
    layout: CacheLayout,
    /// The layer's part of the first block.
    base: *mut u8,
    num_blocks: usize,
    memory: std::marker::PhantomData<&'a mut [u8]>,
}

// SAFETY: writing takes the whole cache and keeps heads apart; all else reads.
unsafe impl Send for Cache<'_> {}
// SAFETY: as above.
unsafe impl Sync for Cache<'_> {}

impl<'a> Cache<'a> {
    /// Layer `layer` of `memory`, which is whole blocks.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn new(layout: CacheLayout, layer: usize, memory: &'a mut [u8]) -> Self {
        assert!(layer < layout.num_layers, "no such layer");
        let num_blocks = memory.len() / layout.block_bytes();
        let offset = layer * layout.num_kv_heads * layout.head_bytes();
        let base = memory.as_mut_ptr().wrapping_add(offset);
        Self { layout, base, num_blocks, memory: std::marker::PhantomData }
    }

    /// Its shape.
    pub fn layout(&self) -> &CacheLayout {
        &self.layout
    }

    /// Blocks.
    pub fn num_blocks(&self) -> usize {
        self.num_blocks
    }

    /// The tiles of a head: keys, then values.
    pub(super) fn tiles(&self, block: u32, head: usize) -> (*mut u8, *mut u8) {
        debug_assert!((block as usize) < self.num_blocks);
        let at = block as usize * self.layout.block_bytes() + head * self.layout.head_bytes();
        let keys = self.base.wrapping_add(at);
        (keys, keys.wrapping_add(self.layout.key_lines() * LINE))
    }

    /// Writes keys and values, rows of `num_kv_heads × head_dim`, at the positions of the runs.
    ///
    /// # Panics
    /// If a run's blocks do not reach its end or do not exist, or a length is not right.
    pub fn write(
        &mut self,
        (isa, pool): (Isa, &mut Pool),
        runs: &[Run<'_>],
        keys: &[f32],
        values: &[f32],
    ) {
        let width = self.layout.num_kv_heads * self.layout.head_dim;
        let mut rows = 0;
        for run in runs {
            let end = run.position + run.num_rows;
            assert!(end <= run.blocks.len() * BLOCK_SIZE, "block table too short");
            assert!(run.blocks.iter().all(|b| (*b as usize) < self.num_blocks), "no such block");
            assert!((run.first_row + run.num_rows) * width <= keys.len(), "rows of keys");
            rows += run.num_rows;
        }
        assert_eq!(keys.len(), values.len(), "keys and values");
        let (this, heads) = (&*self, self.layout.num_kv_heads);
        let head = |head: usize, _: usize| {
            for run in runs {
                // SAFETY: checked above; tiles of different heads are apart.
                unsafe { write_head(isa, this, run, head, (keys, values)) };
            }
        };
        // A few rows are written before another thread would begin.
        if rows < FEW_ROWS { (0..heads).for_each(|i| head(i, 0)) } else { pool.run(heads, &head) }
    }
}
