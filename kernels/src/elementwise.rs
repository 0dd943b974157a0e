//! What happens to rows between the matrix products: look-up, rotation, gate.
//!
//! Each function is its own plain reference: loops simple enough for the compiler to vectorise.
//! Invariant: a row's result depends on that row only.

use crate::{
    exp::exp,
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

/// `gate[i] = silu(gate[i]) · up[i]` with `silu(x) = x / (1 + e⁻ˣ)` (SwiGLU, Shazeer 2020), rows
/// of `width`.
///
/// # Panics
/// If the lengths differ.
pub fn swiglu((isa, pool): (Isa, &mut Pool), gate: &mut [f32], up: &[f32], width: usize) {
    assert!(isa.is_available(), "{isa:?} is not available");
    assert_eq!(gate.len(), up.len(), "gate and up");
    each_row(pool, gate, width, &|i, gate| {
        let up = &up[i * width..(i + 1) * width];
        // SAFETY: checked above.
        unsafe { swiglu_row(isa, gate, up) };
    });
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
    swiglu_row = swiglu_one(gate: &mut [f32], up: &[f32])
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
unsafe fn swiglu_one<D: Dot>(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp(-*gate)) * up;
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
