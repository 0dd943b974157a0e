//! What turns rows of floats into activations for the next product.
//!
//! Invariant: a row's result depends on that row only.

use super::activations::{Activations, BLOCK};
use crate::{
    isa::Isa,
    pool::Pool,
    simd::{Dot, LANES, on_each_isa, sum_lanes},
};

/// Rows of a task; fewer are done by the calling thread, faster than others wake to.
const ROWS_PER_TASK: usize = 8;

/// `out[m] = x[m] · weight / sqrt(mean(x[m]²) + eps)` (RMSNorm, Zhang & Sennrich 2019) for the
/// first `m` rows of `x`, each as long as `weight`.
///
/// # Panics
/// If a shape does not fit.
pub fn norm_rows(
    (isa, pool): (Isa, &mut Pool),
    x: &[f32],
    (weight, eps): (&[f32], f32),
    m: usize,
    out: &mut Activations,
) {
    let width = weight.len();
    assert!(isa.is_available(), "{isa:?} is not available");
    assert!(x.len() >= m * width && out.stride() >= width && out.max_rows() >= m, "rows");
    let out = &*out;
    each_row(pool, m, &|row| {
        let x = &x[row * width..(row + 1) * width];
        // SAFETY: each row is one task's own; products check the instruction set.
        unsafe { norm(isa, x, (weight, eps), (out, row)) };
    });
}

/// `out[m] = x[m]` for the first `m` rows of `x`, each `width` long.
///
/// # Panics
/// If a shape does not fit.
pub fn convert_rows(
    (isa, pool): (Isa, &mut Pool),
    x: &[f32],
    width: usize,
    m: usize,
    out: &mut Activations,
) {
    assert!(isa.is_available(), "{isa:?} is not available");
    assert!(x.len() >= m * width && out.stride() >= width && out.max_rows() >= m, "rows");
    let out = &*out;
    each_row(pool, m, &|row| {
        let x = &x[row * width..(row + 1) * width];
        // SAFETY: each row is one task's own.
        unsafe { convert(isa, x, (out, row)) };
    });
}

/// Runs `task` for every row, on several threads if there are many.
fn each_row(pool: &mut Pool, m: usize, task: &(dyn Fn(usize) + Sync)) {
    if m < 2 * ROWS_PER_TASK {
        return (0..m).for_each(task);
    }
    pool.run(m.div_ceil(ROWS_PER_TASK), &|i, _| {
        (i * ROWS_PER_TASK..m.min((i + 1) * ROWS_PER_TASK)).for_each(task);
    });
}

on_each_isa! {
    /// # Safety
    /// Nobody else touches the row, and `isa` is available.
    norm = norm_row(x: &[f32], norm: (&[f32], f32), to: (&Activations, usize))
}

on_each_isa! {
    /// # Safety
    /// As [`norm`].
    convert = convert_row(x: &[f32], to: (&Activations, usize))
}

/// # Safety
/// See [`norm`].
#[inline(always)]
unsafe fn norm_row<D: Dot>(
    x: &[f32],
    (weight, eps): (&[f32], f32),
    (out, row): (&Activations, usize),
) {
    let mut lanes = [0.0_f32; LANES];
    for chunk in x.chunks(LANES) {
        for (x, lane) in chunk.iter().zip(&mut lanes) {
            *lane += x * x;
        }
    }
    let scale = 1.0 / (sum_lanes(lanes) / x.len() as f32 + eps).sqrt();
    for (i, (x, weight)) in x.chunks(BLOCK).zip(weight.chunks(BLOCK)).enumerate() {
        let mut block = [0.0; BLOCK];
        for ((out, x), weight) in block.iter_mut().zip(x).zip(weight) {
            *out = weight * (x * scale);
        }
        // SAFETY: the caller vouches.
        unsafe { out.put(row, i, &block) };
    }
}

/// # Safety
/// See [`norm`].
#[inline(always)]
unsafe fn convert_row<D: Dot>(x: &[f32], (out, row): (&Activations, usize)) {
    for (i, x) in x.chunks(BLOCK).enumerate() {
        let mut block = [0.0; BLOCK];
        block[..x.len()].copy_from_slice(x);
        // SAFETY: the caller vouches.
        unsafe { out.put(row, i, &block) };
    }
}
