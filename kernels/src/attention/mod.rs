//! Attention over a paged cache, causal or both ways, in tiles, with the softmax as it goes
//! (FlashAttention-2, Dao 2023; split over keys as Flash-Decoding, Dao et al. 2023).
//!
//! A *row* is one query head at one position. Keys are taken 64 at a time, from positions that are
//! multiples of 64, and 512 of them form a *partition* with a softmax of its own; partitions are
//! merged in order. Invariant: all of that depends on positions only, so a row's result is the
//! same, bit for bit, in prefill, in decode, in any batch and on any number of threads. Keys that a
//! row does not see count for nothing, whatever they hold, as long as it is a number.

#[cfg(target_arch = "x86_64")]
mod amx;
mod bytes;
mod cache;
mod distances;
mod flash;
mod plan;
pub mod reference;
mod rows;
mod softmax;
#[cfg(target_arch = "x86_64")]
mod softmax_avx2;
#[cfg(target_arch = "x86_64")]
mod softmax_avx512;
mod whole;
mod write;

pub use self::{
    cache::{Cache, CacheLayout, KvDtype},
    distances::Distances,
    plan::{Plan, attention},
    whole::{Heads, MAX_KEYS, Whole},
};

/// Positions of a cache block.
pub const BLOCK_SIZE: usize = 16;
/// Keys that a row's softmax takes at a time, from a multiple on: of those that a window begins
/// among, all are read.
pub const TILE: usize = 64;
/// Elements of the longest head that is kept in bytes: sums of longer ones overflow.
pub const MAX_INT8_HEAD_DIM: usize = 512;
/// Keys with a softmax of their own; a multiple of [`TILE`].
const PARTITION: usize = 512;

/// What is the same for all positions of a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a> {
    /// Query heads; a multiple of the layout's `num_kv_heads`.
    pub num_heads: usize,
    /// Multiplies `q · k`, usually `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// Whether a position sees all of its run as well, not only what is before it: encoders do.
    pub both_ways: bool,
    /// A position sees itself and the `window - 1` before it (and after it, if it looks both
    /// ways).
    pub window: Option<usize>,
    /// Scores become `cap · tanh(score / cap)`.
    pub softcap: Option<f32>,
    /// For each query head a score that takes weight and gives nothing.
    pub sinks: Option<&'a [f32]>,
    /// What is added to scores.
    pub distances: Option<Distances<'a>>,
}

/// Consecutive positions of one sequence that ask.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Blocks of the sequence, in order; keys and values up to the last position are there.
    pub blocks: &'a [u32],
    /// The first position.
    pub position: usize,
    /// How many.
    pub num_rows: usize,
    /// The first one's row in `q` and `out`.
    pub first_row: usize,
}
