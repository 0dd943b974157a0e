//! Tiles of the two products on one thread.
//!
//! Invariant: a number between the matrices is one sum over the inputs, sixteen lanes added up as
//! a tree; an output is one sum over the ranks in their order. Tiles change neither.

use super::{
    Numbers, Pair, padded,
    tasks::{At, Inner, OUTPUTS, Out, RANKS},
};
use crate::{
    matmul::Rows,
    simd::{Dot, LANES, Simd, on_each_isa, prefetch, sum},
};

/// Rows of a tile where there are several.
const TILE_ROWS: usize = 4;

/// A kind of numbers.
trait Number: Copy {
    /// Sixteen of them at `p`, widened.
    ///
    /// # Safety
    /// They are readable, and the machine has the instruction set of `S`.
    unsafe fn load<S: Simd>(p: *const Self) -> S::V;
}

impl Number for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(p: *const Self) -> S::V {
        // SAFETY: the caller vouches.
        unsafe { S::load(p) }
    }
}

impl Number for u16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(p: *const Self) -> S::V {
        // SAFETY: the caller vouches.
        unsafe { S::from_bf16(p) }
    }
}

/// Asks for what a run through memory that is at `len` numbers from `p` on will read soon. With an
/// adapter for each row, its numbers are read once in a step and come from afar; a page ahead is
/// what was measured best.
#[inline(always)]
fn ahead<T>(p: *const T, len: usize) {
    const LINE_BYTES: usize = 64;
    let p = p.cast::<u8>().wrapping_add(4096);
    for line in 0..(len * size_of::<T>()).div_ceil(LINE_BYTES) {
        prefetch(p.wrapping_add(line * LINE_BYTES));
    }
}

on_each_isa! {
    /// Some ranks of what goes down, for some rows.
    ///
    /// # Safety
    /// `isa` is available, shapes fit, and the numbers between are this task's own.
    down = down_on(x: &Rows<'_>, inputs: usize, pair: &Pair<'_>, at: &At<'_>, to: &Inner)
}

on_each_isa! {
    /// Some outputs of what goes up, for some rows.
    ///
    /// # Safety
    /// `isa` is available, shapes fit, and the outputs are this task's own.
    up = up_on(pair: &Pair<'_>, at: &At<'_>, from: &Inner, to: &Out)
}

/// # Safety
/// See [`down`].
#[inline(always)]
unsafe fn down_on<D: Dot>(x: &Rows<'_>, inputs: usize, pair: &Pair<'_>, at: &At<'_>, to: &Inner) {
    // SAFETY: the caller vouches.
    unsafe {
        match pair.down {
            Numbers::F32(a) => down_with::<D, f32>(x, (a, padded(inputs)), pair, at, to),
            Numbers::Bf16(a) => down_with::<D, u16>(x, (a, padded(inputs)), pair, at, to),
        }
    }
}

/// # Safety
/// See [`down`].
#[inline(always)]
unsafe fn down_with<D: Dot, T: Number>(
    x: &Rows<'_>,
    (a, stride): (&[T], usize),
    pair: &Pair<'_>,
    at: &At<'_>,
    to: &Inner,
) {
    let first = at.chunk * RANKS;
    let ranks = RANKS.min(pair.rank - first.min(pair.rank));
    let a = a.as_ptr().wrapping_add(first * stride);
    let (mut rank, several) = (0, at.rows.len() / TILE_ROWS * TILE_ROWS);
    let tile =
        |i, rank| Tile { x, a, shape: (stride, ranks, first), scale: pair.scale, at, i, rank };
    // SAFETY: rows are the activations', ranks the pair's.
    unsafe {
        while rank + 2 <= ranks && several > 0 {
            for i in (0..several).step_by(TILE_ROWS) {
                tile(i, rank).sums::<D::S, TILE_ROWS, 2>(to);
            }
            rank += 2;
        }
        for rank in rank..ranks {
            for i in (0..several).step_by(TILE_ROWS) {
                tile(i, rank).sums::<D::S, TILE_ROWS, 1>(to);
            }
        }
        for i in several..at.rows.len() {
            match ranks {
                RANKS => tile(i, 0).sums::<D::S, 1, RANKS>(to),
                4 => tile(i, 0).sums::<D::S, 1, 4>(to),
                _ => (0..ranks).for_each(|rank| tile(i, rank).sums::<D::S, 1, 1>(to)),
            }
        }
    }
}

/// Sums of some rows and ranks, from these on.
struct Tile<'a, T> {
    x: &'a Rows<'a>,
    /// The chunk's matrix: `[inputs / 16][rank][16]`.
    a: *const T,
    /// Inputs, ranks of the chunk, and the first of these.
    shape: (usize, usize, usize),
    scale: f32,
    at: &'a At<'a>,
    i: usize,
    rank: usize,
}

impl<T: Number> Tile<'_, T> {
    /// # Safety
    /// `MR` rows and `NR` ranks are there, and the machine has the instruction set of `S`.
    #[inline(always)]
    unsafe fn sums<S: Simd, const MR: usize, const NR: usize>(&self, to: &Inner) {
        let Self { x, a, shape: (stride, ranks, first), scale, at, i, rank } = *self;
        let mut rows = [x.data.as_ptr(); MR];
        for (m, row) in rows.iter_mut().enumerate() {
            *row = row.wrapping_add(at.rows[i + m] as usize * x.stride);
        }
        // SAFETY: the caller vouches for bounds and instruction set.
        unsafe {
            let mut acc = [[S::zero(); NR]; MR];
            for k in (0..stride).step_by(LANES) {
                let mut w = [S::zero(); NR];
                let from = a.add(k * ranks + rank * LANES);
                if MR == 1 {
                    ahead(from, NR * LANES);
                }
                for (n, w) in w.iter_mut().enumerate() {
                    *w = T::load::<S>(from.add(n * LANES));
                }
                for (m, acc) in acc.iter_mut().enumerate() {
                    let x = S::load(rows[m].add(k));
                    for (n, acc) in acc.iter_mut().enumerate() {
                        *acc = S::fma(x, w[n], *acc);
                    }
                }
            }
            for (m, acc) in acc.iter().enumerate() {
                for (n, acc) in acc.iter().enumerate() {
                    to.row(at, i + m).add(first + rank + n).write(sum::<S>(*acc) * scale);
                }
            }
        }
    }
}

/// # Safety
/// See [`up`].
#[inline(always)]
unsafe fn up_on<D: Dot>(pair: &Pair<'_>, at: &At<'_>, from: &Inner, to: &Out) {
    // SAFETY: the caller vouches.
    unsafe {
        match pair.up {
            Numbers::F32(b) => up_with::<D, f32>((b, pair.rank), at, from, to),
            Numbers::Bf16(b) => up_with::<D, u16>((b, pair.rank), at, from, to),
        }
    }
}

/// # Safety
/// See [`up`].
#[inline(always)]
unsafe fn up_with<D: Dot, T: Number>(
    (b, rank): (&[T], usize),
    at: &At<'_>,
    from: &Inner,
    to: &Out,
) {
    let end = to.width.min((at.chunk + 1) * OUTPUTS);
    let several = at.rows.len() / TILE_ROWS * TILE_ROWS;
    let mut output = at.chunk * OUTPUTS;
    // SAFETY: rows and outputs are those of the target and of the matrix.
    unsafe {
        while output < end {
            let rise = Rise { b: b.as_ptr(), rank, at, from, output };
            // Whole panels are as wide as the chunk's end says, so four of them are there.
            let four = output + 4 * LANES <= end;
            for i in (0..several).step_by(TILE_ROWS) {
                rise.add::<D::S, TILE_ROWS, 1>(i, to);
                if four {
                    for panel in 1..4 {
                        let rise = Rise { output: output + panel * LANES, ..rise };
                        rise.add::<D::S, TILE_ROWS, 1>(i, to);
                    }
                }
            }
            for i in several..at.rows.len() {
                if four {
                    rise.add::<D::S, 1, 4>(i, to);
                } else {
                    rise.add::<D::S, 1, 1>(i, to);
                }
            }
            output += if four { 4 * LANES } else { LANES };
        }
    }
}

/// Outputs of some rows and panels, from this output on.
#[derive(Clone, Copy)]
struct Rise<'a, T> {
    b: *const T,
    rank: usize,
    at: &'a At<'a>,
    from: &'a Inner,
    output: usize,
}

impl<T: Number> Rise<'_, T> {
    /// # Safety
    /// `MR` rows and `NP` panels are there, and the machine has the instruction set of `S`.
    #[inline(always)]
    unsafe fn add<S: Simd, const MR: usize, const NP: usize>(&self, i: usize, to: &Out) {
        let Self { b, rank, at, from, output } = *self;
        // SAFETY: the caller vouches for bounds and instruction set.
        unsafe {
            let mut acc = [[S::zero(); NP]; MR];
            for j in 0..rank {
                let mut w = [S::zero(); NP];
                if MR == 1 {
                    ahead(b.add(output * rank + j * NP * LANES), NP * LANES);
                }
                for (n, w) in w.iter_mut().enumerate() {
                    *w = T::load::<S>(b.add((output + n * LANES) * rank + j * LANES));
                }
                for (m, acc) in acc.iter_mut().enumerate() {
                    let x = S::splat(from.row(at, i + m).add(j).read());
                    for (n, acc) in acc.iter_mut().enumerate() {
                        *acc = S::fma(x, w[n], *acc);
                    }
                }
            }
            for (m, acc) in acc.iter().enumerate() {
                let row = to.out.add(at.rows[i + m] as usize * to.width);
                for (n, acc) in acc.iter().enumerate() {
                    let first = output + n * LANES;
                    add_to::<S>(row.add(first), LANES.min(to.width - first), *acc);
                }
            }
        }
    }
}

/// Adds the first `len` lanes to what is at `to`.
///
/// # Safety
/// So many floats are there, and the machine has the instruction set of `S`.
#[inline(always)]
unsafe fn add_to<S: Simd>(to: *mut f32, len: usize, lanes: S::V) {
    // SAFETY: the caller vouches.
    unsafe {
        if len == LANES {
            return S::store(to, S::add(S::load(to), lanes));
        }
        let mut spilt = [0.0; LANES];
        S::store(spilt.as_mut_ptr(), lanes);
        for (i, x) in spilt.iter().take(len).enumerate() {
            *to.add(i) += x;
        }
    }
}
