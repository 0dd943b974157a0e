//! What happens to rows between the matrix products: look-up, rotation, sums.
//!
//! Each function is its own plain reference: loops simple enough for the compiler to vectorise.
//! Invariant: a row's result depends on that row only.

use crate::{
    isa::Isa,
    pool::Pool,
    quant,
    quant::DType,
    simd::{Dot, on_each_isa},
};

/// Rows of a task; fewer are done by the calling thread, faster than others wake to.
const ROWS_PER_TASK: usize = 8;

/// Runs `task` for every row of `width` elements, on several threads if there are many.
pub(crate) fn each_row(
    pool: &mut Pool,
    data: &mut [f32],
    width: usize,
    task: &(dyn Fn(usize, &mut [f32]) + Sync),
) {
    if data.len() < 2 * ROWS_PER_TASK * width {
        return data.chunks_exact_mut(width).enumerate().for_each(|(i, row)| task(i, row));
    }
    pool.run_chunks(data, ROWS_PER_TASK * width, &|i, rows| {
        let rows = rows.chunks_exact_mut(width).enumerate();
        rows.for_each(|(j, row)| task(i * ROWS_PER_TASK + j, row));
    });
}

/// Reads the rows `ids` of a stored table (`row_bytes` each) into `out`, `width` elements each.
///
/// # Panics
/// If there is no such row, or a length is not right.
pub fn gather(
    (isa, pool): (Isa, &mut Pool),
    (dtype, table, row_bytes): (DType, &[u8], usize),
    ids: &[u32],
    (out, width): (&mut [f32], usize),
) {
    assert!(isa.is_available(), "{isa:?} is not available");
    assert_eq!(out.len(), ids.len() * width, "a row for each id");
    each_row(pool, out, width, &|i, row| {
        let at = ids[i] as usize * row_bytes;
        let stored = &table[at..at + row_bytes];
        // SAFETY: checked above.
        unsafe { read(isa, dtype, stored, row) };
    });
}

/// `x += scale · branch`, and `x *= scale` where there is no branch; rows of `width`.
///
/// # Panics
/// If the lengths differ.
pub fn add_scaled(
    (isa, pool): (Isa, &mut Pool),
    (x, width): (&mut [f32], usize),
    branch: Option<&[f32]>,
    scale: f32,
) {
    assert!(isa.is_available(), "{isa:?} is not available");
    assert!(branch.is_none_or(|branch| branch.len() == x.len()), "as long as x");
    each_row(pool, x, width, &|i, row| {
        let branch = branch.map(|branch| &branch[i * width..(i + 1) * width]);
        // SAFETY: checked above.
        unsafe { add_row(isa, row, branch, scale) };
    });
}

/// Some columns of rows.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// Of the rows.
    pub width: usize,
    /// The first of the columns.
    pub first: usize,
}

/// Copies `len` columns of every row.
///
/// # Panics
/// If there are not so many columns.
pub fn copy_columns((from, at): (&[f32], Columns), (to, to_at): (&mut [f32], Columns), len: usize) {
    assert!(at.first + len <= at.width && to_at.first + len <= to_at.width, "columns");
    let rows = from.chunks_exact(at.width).zip(to.chunks_exact_mut(to_at.width));
    for (from, to) in rows {
        to[to_at.first..to_at.first + len].copy_from_slice(&from[at.first..at.first + len]);
    }
}

/// Which elements of a head form a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// `(i, i + dim/2)`: Hugging Face's layout.
    Half,
    /// `(2i, 2i + 1)`: llama.cpp's layout for Llama.
    Interleaved,
}

/// The angles of each row's position: `dim / 2` cosines and sines.
#[derive(Clone, Copy, Debug)]
pub struct Angles<'a> {
    /// Pairs of one head.
    pub pairs: Pairs,
    /// `rows × dim / 2`.
    pub cos: &'a [f32],
    /// Likewise.
    pub sin: &'a [f32],
    /// `dim / 2`.
    pub width: usize,
}

/// Rotates the first `dim` elements of every head of every row by the row's angles (rotary
/// position embedding, Su et al. 2021); rows of `width` elements, heads of `head_dim`.
///
/// # Panics
/// If a length is not right.
pub fn rotate(
    (isa, pool): (Isa, &mut Pool),
    rows: &mut [f32],
    (width, head_dim): (usize, usize),
    angles: &Angles<'_>,
) {
    assert!(isa.is_available(), "{isa:?} is not available");
    assert!(2 * angles.width <= head_dim, "heads are as long as what is rotated");
    each_row(pool, rows, width, &|i, row| {
        let at = i * angles.width..(i + 1) * angles.width;
        let (cos, sin) = (&angles.cos[at.clone()], &angles.sin[at]);
        // SAFETY: checked above.
        unsafe { rotate_row(isa, row, head_dim, angles.pairs, (cos, sin)) };
    });
}

on_each_isa! {
    /// # Safety
    /// `isa` is available (so in all below).
    read = read_one(dtype: DType, stored: &[u8], row: &mut [f32])
}

on_each_isa! {
    /// # Safety
    /// As [`read`].
    add_row = add_one(x: &mut [f32], branch: Option<&[f32]>, scale: f32)
}

on_each_isa! {
    /// # Safety
    /// As [`read`].
    rotate_row = rotate_one(
        row: &mut [f32],
        head_dim: usize,
        pairs: Pairs,
        angles: (&[f32], &[f32])
    )
}

/// # Safety
/// See [`read`].
#[inline(always)]
unsafe fn read_one<D: Dot>(dtype: DType, stored: &[u8], row: &mut [f32]) {
    // SAFETY: the caller vouches for the instruction set.
    unsafe { quant::dequantize_with::<D::S>(dtype, stored, row) };
}

/// # Safety
/// See [`read`].
#[inline(always)]
unsafe fn add_one<D: Dot>(x: &mut [f32], branch: Option<&[f32]>, scale: f32) {
    match branch {
        Some(branch) => {
            for (x, branch) in x.iter_mut().zip(branch) {
                *x = branch.mul_add(scale, *x);
            }
        }
        None => {
            for x in x {
                *x *= scale;
            }
        }
    }
}

/// # Safety
/// See [`read`].
#[inline(always)]
unsafe fn rotate_one<D: Dot>(
    row: &mut [f32],
    head_dim: usize,
    pairs: Pairs,
    (cos, sin): (&[f32], &[f32]),
) {
    for head in row.chunks_exact_mut(head_dim) {
        match pairs {
            Pairs::Half => rope_half(head, cos, sin),
            Pairs::Interleaved => rope_interleaved(head, cos, sin),
        }
    }
}

#[inline(always)]
fn rope_half(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (low, rest) = head.split_at_mut(cos.len());
    for (((a, b), cos), sin) in low.iter_mut().zip(rest).zip(cos).zip(sin) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

#[inline(always)]
fn rope_interleaved(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    for ((pair, cos), sin) in head.as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin) {
        *pair = [pair[0] * cos - pair[1] * sin, pair[1] * cos + pair[0] * sin];
    }
}
