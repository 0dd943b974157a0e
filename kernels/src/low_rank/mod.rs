//! Products with low-rank pairs that are added to outputs, a pair for each group of rows:
//! `y += scale · B (A x)` (LoRA, Hu et al. 2021; many at once as in Punica, Chen et al. 2023).
//!
//! Rows that are in no group cost nothing. All groups and all outputs of one input are computed in
//! two parallel phases, down to the rank and up again. Invariant: an output depends on its own row
//! and pair only, so results are the same in whatever batch a row comes, bit for bit.

mod cpu;
pub mod reference;
mod tasks;

use self::tasks::{Grid, Inner, OUTPUTS, Out, RANKS};
use crate::{isa::Isa, matmul::Rows, pool::Pool, simd::LANES};

/// Stored numbers.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// As they are.
    F32(&'a [f32]),
    /// The upper halves of floats.
    Bf16(&'a [u16]),
}

impl Numbers<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(all) => all.len(),
            Self::Bf16(all) => all.len(),
        }
    }
}

/// Two matrices whose product has a low rank. Both have the same kind of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// `A`, as [`pack_down`] lays it out.
    pub down: Numbers<'a>,
    /// `B`, as [`pack_up`] lays it out.
    pub up: Numbers<'a>,
    /// Rows of `A`, columns of `B`.
    pub rank: usize,
    /// Multiplies the product.
    pub scale: f32,
}

/// Elements that a row of so many takes: whole vectors.
pub fn padded(len: usize) -> usize {
    len.next_multiple_of(LANES)
}

/// Lays `A` out, which is `rank × inputs`, row after row: for eight ranks at a time what they have
/// of sixteen inputs, so that a run through it is a run through memory. Inputs are padded with
/// zeros.
///
/// # Panics
/// If there are not so many numbers, or no inputs.
pub fn pack_down(a: &[f32], [rank, inputs]: [usize; 2]) -> Vec<f32> {
    assert_eq!(a.len(), rank * inputs, "numbers of a matrix");
    let mut to = vec![0.0; rank * padded(inputs)];
    let chunks = to.chunks_mut(RANKS * padded(inputs)).zip(a.chunks(RANKS * inputs));
    for (to, from) in chunks {
        let ranks = from.len() / inputs;
        for (j, row) in from.chunks_exact(inputs).enumerate() {
            for (k, x) in row.iter().enumerate() {
                to[(k / LANES * ranks + j) * LANES + k % LANES] = *x;
            }
        }
    }
    to
}

/// Lays `B` out, which is `outputs × rank`, row after row: for sixteen outputs at a time what they
/// have of each rank, so that a run through it is a run through memory.
///
/// # Panics
/// If there are not so many numbers.
pub fn pack_up(b: &[f32], [outputs, rank]: [usize; 2]) -> Vec<f32> {
    assert_eq!(b.len(), outputs * rank, "numbers of a matrix");
    let mut to = vec![0.0; padded(outputs) * rank];
    for (i, row) in b.chunks_exact(rank.max(1)).enumerate() {
        let panel = &mut to[i / LANES * rank * LANES..];
        for (j, x) in row.iter().enumerate() {
            panel[j * LANES + i % LANES] = *x;
        }
    }
    to
}

/// Rows in groups, each with pairs of its own; no row is in two.
#[derive(Clone, Debug)]
pub struct RowGroups {
    rows: Vec<u32>,
    /// Where each group begins in `rows`.
    starts: Vec<usize>,
    /// Whether a row is in a group.
    taken: Vec<bool>,
    /// One more than the greatest row.
    bound: usize,
}

impl RowGroups {
    /// No group, of rows below `max_rows`. Filling it allocates nothing.
    pub fn new(max_rows: usize) -> Self {
        Self {
            rows: Vec::with_capacity(max_rows),
            starts: Vec::with_capacity(max_rows),
            taken: vec![false; max_rows],
            bound: 0,
        }
    }

    /// Takes all groups away.
    pub fn clear(&mut self) {
        for row in self.rows.drain(..) {
            self.taken[row as usize] = false;
        }
        self.starts.clear();
        self.bound = 0;
    }

    /// Begins a group.
    pub fn begin(&mut self) {
        self.starts.push(self.rows.len());
    }

    /// Puts a row into the group begun last.
    ///
    /// # Panics
    /// If it is in a group, or not below `max_rows`, or no group was begun.
    pub fn push(&mut self, row: usize) {
        assert!(!self.starts.is_empty(), "no group");
        assert!(!self.taken[row], "row {row} is in a group");
        self.taken[row] = true;
        self.rows.push(row as u32);
        self.bound = self.bound.max(row + 1);
    }

    /// Whether there is no row in any group.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Groups.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// The place of a group's rows among all, and the rows.
    fn group(&self, group: usize) -> (usize, &[u32]) {
        let start = self.starts[group];
        let end = self.starts.get(group + 1).copied().unwrap_or(self.rows.len());
        (start, &self.rows[start..end])
    }
}

/// Rows of outputs to add to, `width` each.
#[derive(Debug)]
pub struct Target<'a> {
    /// Row after row.
    pub out: &'a mut [f32],
    /// Elements of a row.
    pub width: usize,
}

/// The pair that a group has for a target, if it has one.
pub type Pairs<'a> = dyn Fn(usize, usize) -> Option<Pair<'a>> + Sync + 'a;

/// Adds to each target what the groups' pairs make of `x`, whose rows have `inputs` elements.
/// `inner` holds what is between the matrices: for each target, row in a group and rank one number.
///
/// # Panics
/// If a shape does not fit, or this machine lacks the instruction set.
pub fn add_low_rank<const N: usize>(
    (isa, pool): (Isa, &mut Pool),
    (x, inputs): (Rows<'_>, usize),
    (groups, pairs): (&RowGroups, &Pairs<'_>),
    targets: [Target<'_>; N],
    inner: &mut [f32],
) {
    assert!(isa.is_available(), "{isa:?} is not available");
    if groups.is_empty() {
        return;
    }
    assert!(x.stride >= padded(inputs), "columns of the activations");
    assert!(x.m >= groups.bound && x.data.len() >= x.m * x.stride, "activations");
    let (mut max_rank, mut max_rows, mut max_width) = (0, 0, 0);
    for group in 0..groups.len() {
        max_rows = max_rows.max(groups.group(group).1.len());
        for (i, target) in targets.iter().enumerate() {
            let Some(pair) = pairs(group, i) else { continue };
            check(&pair, inputs, target.width);
            max_rank = max_rank.max(pair.rank);
        }
    }
    if max_rank == 0 {
        return;
    }
    for target in &targets {
        assert!(target.out.len() >= groups.bound * target.width, "rows of outputs");
        max_width = max_width.max(target.width);
    }
    assert!(inner.len() >= N * groups.rows.len() * max_rank, "numbers between");
    let outs = targets.map(|target| Out::new(target.out, target.width));
    let inner = Inner::new(inner, groups.rows.len(), max_rank);
    let grid = Grid { groups, pairs, num_targets: N, max_rows };
    grid.run(pool, max_rank.div_ceil(RANKS), &|at, pair| {
        // SAFETY: shapes and the instruction set are checked above; no two tasks have the same
        // target, rows and ranks.
        unsafe { cpu::down(isa, &x, inputs, &pair, &at, &inner) };
    });
    grid.run(pool, max_width.div_ceil(OUTPUTS), &|at, pair| {
        // SAFETY: as above; no two tasks have the same target, rows and outputs, and what is
        // between the matrices is only read.
        unsafe { cpu::up(isa, &pair, &at, &inner, &outs[at.target]) };
    });
}

fn check(pair: &Pair<'_>, inputs: usize, outputs: usize) {
    assert_eq!(pair.down.len(), pair.rank * padded(inputs), "numbers of the matrix down");
    assert_eq!(pair.up.len(), pair.rank * padded(outputs), "numbers of the matrix up");
    let same = matches!(
        (pair.down, pair.up),
        (Numbers::F32(_), Numbers::F32(_)) | (Numbers::Bf16(_), Numbers::Bf16(_))
    );
    assert!(same, "both matrices have the same kind of numbers");
}
