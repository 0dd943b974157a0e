//! How attention is spread over threads.
//!
//! Usually a task is some positions of a sequence and one key head. Where that gives too few (one
//! long conversation), each partition of the keys is a task, and their results are merged after.

use super::{
    Cache, KvDtype, MAX_INT8_HEAD_DIM, PARTITION, Params, Run,
    flash::{Piece, Queries, Sums, load_queries, partition},
    softmax::State,
};
use crate::{isa::Isa, lines::Lines, pool::Pool, simd::LANES};

/// Rows of a task, unless a group of heads has more: what they accumulate stays in the
/// first-level cache.
const ROWS: usize = 48;
/// The most rows of all heads whose partitions are computed apart.
const SPLIT_ROWS: usize = 256;

/// Memory and tasks of attention, made once.
pub struct Plan {
    tasks: Vec<Task>,
    /// One for each thread.
    scratch: Vec<Scratch>,
    /// Results of partitions apart.
    partials: Vec<Scratch>,
    rows: usize,
}

#[derive(Clone, Copy)]
struct Task {
    run: usize,
    first: usize,
    positions: usize,
    kv_head: usize,
    /// For the order: the most work comes first.
    cost: usize,
    /// Partitions from which to which end, and where their results begin if they are apart.
    partitions: (usize, usize),
    partial: Option<usize>,
}

/// Rows in the making.
struct Scratch {
    queries: Queries,
    outputs: Lines<f32>,
    states: Vec<State>,
    total: Lines<f32>,
    total_states: Vec<State>,
}

impl Scratch {
    fn new(rows: usize, head_dim: usize, max: usize) -> Self {
        let width = head_dim.next_multiple_of(LANES);
        let rows = rows * max;
        Self {
            queries: Queries::new(rows, head_dim),
            outputs: Lines::new(rows * width),
            states: vec![State::EMPTY; rows],
            total: Lines::new(rows * width),
            total_states: vec![State::EMPTY; rows],
        }
    }
}

/// Outputs and scratch memory that tasks use apart.
struct Shared<T>(*mut T);
// SAFETY: each task touches only its own elements.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn at(&self, i: usize) -> *mut T {
        self.0.wrapping_add(i)
    }
}

impl Plan {
    /// For `threads` threads, heads of `head_dim`, groups of `group` query heads, and at most
    /// `max_tokens` positions and `max_len` keys.
    pub fn new(threads: usize, (head_dim, group): (usize, usize), max_tokens: usize) -> Self {
        let rows = ROWS.max(group);
        Self {
            tasks: Vec::with_capacity(max_tokens.max(64) * 4),
            scratch: (0..threads).map(|_| Scratch::new(rows, head_dim, 1)).collect(),
            partials: Vec::new(),
            rows,
        }
    }

    /// Cuts the runs into tasks, the longest first.
    fn set(&mut self, (isa, cache): (Isa, &Cache<'_>), params: &Params<'_>, runs: &[Run<'_>]) {
        let layout = cache.layout();
        let group = params.num_heads / layout.num_kv_heads;
        let per_task = (self.rows / group).max(1);
        self.tasks.clear();
        for (run_idx, run) in runs.iter().enumerate() {
            for first in (0..run.num_rows).step_by(per_task) {
                let positions = per_task.min(run.num_rows - first);
                for kv_head in 0..layout.num_kv_heads {
                    let mut task = Task {
                        run: run_idx,
                        first,
                        positions,
                        kv_head,
                        cost: 0,
                        partitions: (0, 0),
                        partial: None,
                    };
                    let (from, end) = task.piece(isa, params, runs).keys();
                    task.partitions = (from / PARTITION, end.div_ceil(PARTITION));
                    task.cost = (end - from) * positions;
                    self.tasks.push(task);
                }
            }
        }
        self.split(layout.head_dim, group);
        self.tasks.sort_unstable_by_key(|task| std::cmp::Reverse(task.cost));
    }

    /// Takes partitions apart if there are fewer tasks than would keep all threads busy.
    fn split(&mut self, head_dim: usize, group: usize) {
        let num_tasks = self.tasks.len();
        let rows: usize = self.tasks.iter().map(|task| task.positions * group).sum();
        let longest = self.tasks.iter().map(|task| task.partitions.1 - task.partitions.0).max();
        let threads = self.scratch.len();
        if threads == 1 || num_tasks >= 4 * threads || rows > SPLIT_ROWS || longest < Some(2) {
            return;
        }
        let mut partial = 0;
        for i in 0..num_tasks {
            let task = self.tasks[i];
            let (from, end) = task.partitions;
            for index in from..end {
                let cost = task.cost / (end - from);
                let part =
                    Task { partitions: (index, index + 1), partial: Some(partial), cost, ..task };
                partial += 1;
                if index == from { self.tasks[i] = part } else { self.tasks.push(part) }
            }
        }
        while self.partials.len() < partial {
            self.partials.push(Scratch::new(self.rows, head_dim, 1));
        }
    }
}

impl Task {
    fn piece<'a>(&self, isa: Isa, params: &Params<'a>, runs: &[Run<'a>]) -> Piece<'a> {
        Piece {
            isa,
            run: runs[self.run],
            first: self.first,
            positions: self.positions,
            kv_head: self.kv_head,
            params: *params,
        }
    }
}

/// `out[t] = softmax(scale · q[t] · Kᵀ) · V` for every query head of every row of the runs.
///
/// `q` and `out` are rows of `num_heads × head_dim`.
///
/// # Panics
/// If a shape does not fit, a block table does not reach a position, or this machine lacks the
/// instruction set.
pub fn attention(
    (isa, pool, plan): (Isa, &mut Pool, &mut Plan),
    (cache, params): (&Cache<'_>, &Params<'_>),
    runs: &[Run<'_>],
    q: &[f32],
    out: &mut [f32],
) {
    check(isa, cache, params, runs, (q, out));
    assert!(plan.scratch.len() >= pool.threads(), "scratch memory for each thread");
    plan.set((isa, cache), params, runs);
    let Plan { tasks, scratch, partials, .. } = plan;
    let (scratch, partials) = (Shared(scratch.as_mut_ptr()), Shared(partials.as_mut_ptr()));
    let out = Shared(out.as_mut_ptr());
    let tasks = &*tasks;
    pool.run(tasks.len(), &|i, thread| {
        let task = tasks[i];
        // SAFETY: one task at a time runs on a thread, and partial results are each one task's.
        let scratch = unsafe {
            &mut *task.partial.map_or(scratch.at(thread), |partial| partials.at(partial))
        };
        let piece = task.piece(isa, params, runs);
        compute(&piece, cache, (task.partitions, q), scratch);
        if task.partial.is_none() {
            // SAFETY: rows of one head are one task's.
            unsafe { finish(&piece, cache, &scratch.total, &scratch.total_states, &out) };
        }
    });
    // The partitions of a piece follow each other in number; the first one begins it.
    let is_head = |task: &&Task| {
        let (from, _) = task.piece(isa, params, runs).keys();
        task.partial.is_some() && task.partitions.0 == from / PARTITION
    };
    for head in tasks.iter().filter(is_head) {
        let piece = head.piece(isa, params, runs);
        let (from, end) = piece.keys();
        let first = head.partial.unwrap_or_default();
        for i in 1..end.div_ceil(PARTITION) - from / PARTITION {
            // SAFETY: all tasks have ended; the two are different.
            let (total, part) = unsafe { (&mut *partials.at(first), &*partials.at(first + i)) };
            let rows = piece.num_rows(cache);
            let width = cache.layout().value_lines() * LANES;
            let mut sums = Sums {
                outputs: &mut total.total[..rows * width],
                states: &mut total.total_states[..rows],
            };
            sums.merge(&part.total[..rows * width], &part.total_states[..rows]);
        }
        // SAFETY: as above.
        let total = unsafe { &*partials.at(first) };
        // SAFETY: this thread is alone.
        unsafe { finish(&piece, cache, &total.total, &total.total_states, &out) };
    }
}

/// Computes partitions from which to which end into the scratch's totals.
fn compute(
    piece: &Piece<'_>,
    cache: &Cache<'_>,
    ((from, end), q): ((usize, usize), &[f32]),
    scratch: &mut Scratch,
) {
    let rows = piece.num_rows(cache);
    let width = cache.layout().value_lines() * LANES;
    let Scratch { queries, outputs, states, total, total_states } = scratch;
    let (total, total_states) = (&mut total[..rows * width], &mut total_states[..rows]);
    let mut sums = Sums { outputs: total, states: total_states };
    queries.choose(piece.isa, cache.layout());
    // SAFETY: `check` has made sure of the instruction set, and of all blocks.
    unsafe {
        load_queries(piece.isa, q, piece, cache, queries);
        // Most have one partition, which begins the sums.
        partition(piece.isa, piece, cache, from, queries, &mut sums);
        for index in from + 1..end {
            let (outputs, states) = (&mut outputs[..rows * width], &mut states[..rows]);
            partition(piece.isa, piece, cache, index, queries, &mut Sums { outputs, states });
            sums.merge(outputs, states);
        }
    }
}

/// Divides by the sums of weights and writes rows where they belong.
///
/// # Safety
/// `out` is as long as `check` wants, and nobody else writes these rows.
unsafe fn finish(
    piece: &Piece<'_>,
    cache: &Cache<'_>,
    total: &[f32],
    states: &[State],
    out: &Shared<f32>,
) {
    let head_dim = cache.layout().head_dim;
    let width = cache.layout().value_lines() * LANES;
    for row in 0..piece.num_rows(cache) {
        let from = &total[row * width..][..head_dim];
        let scale = match piece.sink(row, cache) {
            None => 1.0 / states[row].sum,
            Some(sink) => {
                let (scale, _, both) = states[row].merge(State { max: sink, sum: 1.0 });
                scale / both.sum
            }
        };
        let to = out.at(piece.vector(row, cache));
        for (i, x) in from.iter().enumerate() {
            // SAFETY: the caller vouches.
            unsafe { *to.add(i) = x * scale };
        }
    }
}

fn check(
    isa: Isa,
    cache: &Cache<'_>,
    params: &Params<'_>,
    runs: &[Run<'_>],
    (q, out): (&[f32], &[f32]),
) {
    assert!(isa.is_available(), "{isa:?} is not available");
    let layout = cache.layout();
    assert_eq!(params.num_heads % layout.num_kv_heads, 0, "heads form groups");
    assert!(layout.head_dim.is_multiple_of(2), "heads of even length");
    let most = if layout.dtype == KvDtype::Int8 { MAX_INT8_HEAD_DIM } else { usize::MAX };
    assert!(layout.head_dim <= most, "sums of longer heads overflow");
    assert!(params.sinks.is_none_or(|sinks| sinks.len() == params.num_heads), "a sink per head");
    params.distances.iter().for_each(|distances| distances.check(params.num_heads));
    let width = params.num_heads * layout.head_dim;
    for run in runs {
        let end = run.position + run.num_rows;
        assert!(params.distances.is_none_or(|d| end <= d.reach), "distances reach so far");
        assert!(end <= run.blocks.len() * super::BLOCK_SIZE, "block table too short");
        assert!(run.blocks.iter().all(|b| (*b as usize) < cache.num_blocks()), "no such block");
        let rows = (run.first_row + run.num_rows) * width;
        assert!(rows <= q.len() && rows <= out.len(), "rows of queries and outputs");
    }
}
