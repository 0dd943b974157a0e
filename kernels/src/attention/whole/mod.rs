//! Attention of short sequences, each to all of itself, on the matrix unit: without a cache, with
//! each row's softmax over all its scores at once.
//!
//! A task is one head of one sequence: its keys and values become tiles in the thread's memory,
//! and sixteen rows at a time are multiplied, softened, multiplied and written as activations.
//! Invariant: a row's result depends on its sequence only.

#[cfg(target_arch = "x86_64")]
mod amx;

use crate::{isa::Isa, lines::Lines, packed::Activations, pool::Pool};

/// Keys of the longest sequence: a row's scores stay in the first-level cache.
pub const MAX_KEYS: usize = 512;
/// Elements of a step of queries times keys, keys of a step of weights times values, and elements
/// of values that are computed at once.
const STEP: usize = 32;
/// Rows that are computed at once.
const ROWS: usize = 16;

/// Heads, side by side in each row.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// How many.
    pub num: usize,
    /// Elements of each.
    pub dim: usize,
    /// Multiplies `q · k`.
    pub scale: f32,
}

/// Memory of each thread, made once.
pub struct Whole {
    threads: Vec<Scratch>,
}

struct Scratch {
    /// `[step][row][STEP]`.
    queries: Lines<u32>,
    /// `[16 keys][step][pair of elements][key]`, as `queries` a pair in each.
    keys: Lines<u32>,
    /// `[STEP keys][16 elements][pair of keys][element]`.
    values: Lines<u32>,
    scores: Lines<f32>,
    weights: Lines<u16>,
    outputs: Lines<f32>,
}

/// The thread's own, by its number.
struct Shared(*mut Scratch);
// SAFETY: each thread touches only its own.
unsafe impl Sync for Shared {}

impl Whole {
    /// Whether such heads are for the instruction set to multiply.
    pub fn takes(isa: Isa, head_dim: usize) -> bool {
        #[cfg(target_arch = "x86_64")]
        let has_rounding = std::is_x86_feature_detected!("avx512bf16");
        #[cfg(not(target_arch = "x86_64"))]
        let has_rounding = false;
        isa == Isa::Amx && has_rounding && head_dim.is_multiple_of(STEP)
    }

    /// For `threads` threads and heads of `head_dim` elements.
    pub fn new(threads: usize, head_dim: usize) -> Self {
        let scratch = || Scratch {
            queries: Lines::new(ROWS * head_dim / 2),
            keys: Lines::new(MAX_KEYS * head_dim / 2),
            values: Lines::new(MAX_KEYS * head_dim / 2),
            scores: Lines::new(ROWS * MAX_KEYS),
            weights: Lines::new(ROWS * MAX_KEYS),
            outputs: Lines::new(ROWS * STEP),
        };
        Self { threads: (0..threads).map(|_| scratch()).collect() }
    }

    /// Each row of `q` attends to all rows of its sequence in `k` and `v`; rows are all heads, and
    /// `sequences` their first rows, and how many rows they have.
    ///
    /// # Panics
    /// If [`takes`](Self::takes) says no or the memory is for other heads or fewer threads, a
    /// sequence has no rows, more than [`MAX_KEYS`] or some that there are not.
    pub fn attend(
        &mut self,
        (isa, pool): (Isa, &mut Pool),
        heads: Heads,
        sequences: &[(usize, usize)],
        [q, k, v]: [&[f32]; 3],
        out: &mut Activations,
    ) {
        assert!(isa.is_available() && Self::takes(isa, heads.dim), "{isa:?} takes no such heads");
        assert!(pool.threads() <= self.threads.len(), "memory for all threads");
        let room = ROWS * heads.dim / 2;
        assert!(self.threads.iter().all(|scratch| scratch.queries.len() == room), "other heads");
        let width = heads.num * heads.dim;
        assert!(out.stride() >= width, "width of the output");
        for (first, num) in sequences {
            assert!((1..=MAX_KEYS).contains(num), "keys of a sequence");
            let end = first + num;
            assert!([q, k, v].iter().all(|x| x.len() >= end * width), "rows");
            assert!(out.max_rows() >= end, "rows of the output");
        }
        let (out, threads) = (&*out, &Shared(self.threads.as_mut_ptr()));
        pool.run(sequences.len() * heads.num, &|i, thread| {
            let (first, keys) = sequences[i / heads.num];
            let head = Head { heads, index: i % heads.num, first, keys, q, k, v };
            // SAFETY: a thread's memory is its own while it runs a task.
            let scratch = unsafe { &mut *{ threads }.0.add(thread) };
            #[cfg(target_arch = "x86_64")]
            // SAFETY: all was checked above.
            unsafe {
                amx::attend(&head, scratch, out)
            };
            #[cfg(not(target_arch = "x86_64"))]
            unreachable!("there is no matrix unit for {} and {}", head.at(0), out.stride());
        });
    }
}

/// One head of a sequence.
struct Head<'a> {
    heads: Heads,
    index: usize,
    first: usize,
    keys: usize,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
}

impl Head<'_> {
    /// Where a row's elements begin.
    #[inline(always)]
    fn at(&self, row: usize) -> usize {
        ((self.first + row) * self.heads.num + self.index) * self.heads.dim
    }
}
