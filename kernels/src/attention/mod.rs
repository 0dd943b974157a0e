//! Causal attention of single positions over a paged cache, grouped queries sharing each key.
//!
//! Invariant: an output depends on its own query and the cache up to its position, summed in
//! order of position, so prefill in chunks, decode and batches agree bit for bit.

mod cpu;
pub mod reference;

use rayon::prelude::*;

use crate::{isa::Isa, simd::LANES};

/// How one layer's cache lies in memory: `[block][kv_head][position in block][head_stride]`,
/// once for keys and once for values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLayout {
    /// Positions per block.
    pub block_size: usize,
    /// Key and value heads.
    pub num_kv_heads: usize,
    /// Elements of one head.
    pub head_dim: usize,
}

impl CacheLayout {
    /// Elements from one position to the next: whole vectors, the rest zero.
    pub fn head_stride(&self) -> usize {
        self.head_dim.next_multiple_of(LANES)
    }

    /// Elements of one block, of keys or of values.
    pub fn block_len(&self) -> usize {
        self.num_kv_heads * self.block_size * self.head_stride()
    }

    /// Where the vector of `kv_head` at `offset` in `block` begins.
    pub fn index(&self, block: u32, kv_head: usize, offset: usize) -> usize {
        block as usize * self.block_len()
            + (kv_head * self.block_size + offset) * self.head_stride()
    }
}

/// Keys and values of one layer.
#[derive(Clone, Copy, Debug)]
pub struct Cache<'a> {
    /// Shape of both.
    pub layout: CacheLayout,
    /// Keys, rotated.
    pub keys: &'a [f32],
    /// Values.
    pub values: &'a [f32],
}

/// What is the same for all positions of a call.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// Query heads; a multiple of the layout's `num_kv_heads`.
    pub num_heads: usize,
    /// Multiplies `q · k`, usually `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// A position sees itself and the `window - 1` before it.
    pub window: Option<usize>,
}

/// One position asking.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Blocks of its sequence, in order.
    pub blocks: &'a [u32],
    /// Its position; keys and values up to it are in the cache.
    pub position: usize,
}

/// `out[t] = softmax(scale · q[t] · Kᵀ) · V` for each query position `t`.
///
/// `q` and `out` are `queries.len() × num_heads × head_dim`, row-major.
///
/// # Panics
/// If a shape does not fit, or a block table does not reach a position.
pub fn attention(
    cache: &Cache<'_>,
    params: &Params,
    queries: &[Query<'_>],
    q: &[f32],
    out: &mut [f32],
) {
    attention_on(Isa::detect(), cache, params, (queries, q), out);
}

/// [`attention`] with the instruction set forced; `(queries, q)` as there.
///
/// # Panics
/// As [`attention`], and if this machine lacks the instruction set.
pub fn attention_on(
    isa: Isa,
    cache: &Cache<'_>,
    params: &Params,
    (queries, q): (&[Query<'_>], &[f32]),
    out: &mut [f32],
) {
    assert!(isa.is_available(), "{isa:?} is not available");
    let CacheLayout { num_kv_heads, head_dim, block_size, .. } = cache.layout;
    assert_eq!(params.num_heads % num_kv_heads, 0, "heads form groups");
    assert_eq!(q.len(), queries.len() * params.num_heads * head_dim, "queries");
    assert_eq!(q.len(), out.len(), "output");
    let num_blocks = cache.keys.len() / cache.layout.block_len();
    assert!(cache.values.len() >= num_blocks * cache.layout.block_len(), "values");
    for query in queries {
        assert!(query.position < query.blocks.len() * block_size, "block table too short");
        assert!(query.blocks.iter().all(|b| (*b as usize) < num_blocks), "no such block");
    }
    // One piece of work: the query heads that share one key head, at one position.
    let group = params.num_heads / num_kv_heads * head_dim;
    if group == 0 {
        return;
    }
    out.par_chunks_mut(group).zip(q.par_chunks(group)).enumerate().for_each(|(i, (out, q))| {
        let work = cpu::Work { query: queries[i / num_kv_heads], kv_head: i % num_kv_heads, q };
        cpu::run(isa, cache, params, &work, out);
    });
}
