//! What turns rows of floats into activations for the next product.
//!
//! Invariant: a row's result depends on that row only.

use super::activations::{Activations, BLOCK};
use crate::{
    elementwise,
    isa::Isa,
    norm::{self, Norm, center_and_scale},
    pool::Pool,
    simd::{Dot, on_each_isa},
};

/// Rows of a task; fewer are done by the calling thread, faster than others wake to.
const ROWS_PER_TASK: usize = 8;

/// `out[m] = norm(x[m])` for the first `m` rows of `x`, each as long as the norm's weights.
///
/// # Panics
/// If a shape does not fit.
pub fn norm_rows(
    (isa, pool): (Isa, &mut Pool),
    x: &[f32],
    rule: &Norm<'_>,
    m: usize,
    out: &mut Activations,
) {
    let width = check_norm(isa, x, rule, m, out);
    let out = &*out;
    each_row(pool, m, &|row| {
        let x = &x[row * width..(row + 1) * width];
        // SAFETY: each row is one task's own; products check the instruction set.
        unsafe { norm(isa, x, rule, (out, row)) };
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

/// `x[m] = norm(x[m])` for the first `m` rows of `x`, and the same as activations.
///
/// # Panics
/// If a shape does not fit.
pub fn norm_rows_in_place(
    (isa, pool): (Isa, &mut Pool),
    x: &mut [f32],
    rule: &Norm<'_>,
    m: usize,
    out: &mut Activations,
) {
    let width = check_norm(isa, x, rule, m, out);
    let out = &*out;
    elementwise::each_row(pool, &mut x[..m * width], width, &|row, x| {
        // SAFETY: each row is one task's own; the instruction set was checked.
        unsafe {
            norm::norm_row(isa, x, width, rule);
            convert(isa, x, (out, row));
        }
    });
}

/// Whether rows, norm and room fit one another; how wide a row is.
fn check_norm(isa: Isa, x: &[f32], rule: &Norm<'_>, m: usize, out: &Activations) -> usize {
    let width = rule.weight.len();
    assert!(isa.is_available(), "{isa:?} is not available");
    assert!(x.len() >= m * width && out.stride() >= width && out.max_rows() >= m, "rows");
    assert!(rule.bias.is_none_or(|bias| bias.len() == width), "bias");
    width
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
    norm = norm_row(x: &[f32], rule: &Norm<'_>, to: (&Activations, usize))
}

on_each_isa! {
    /// # Safety
    /// As [`norm`].
    convert = convert_row(x: &[f32], to: (&Activations, usize))
}

/// # Safety
/// See [`norm`].
#[inline(always)]
unsafe fn norm_row<D: Dot>(x: &[f32], rule: &Norm<'_>, (out, row): (&Activations, usize)) {
    let (center, scale) = center_and_scale(x, rule);
    for (i, (x, weight)) in x.chunks(BLOCK).zip(rule.weight.chunks(BLOCK)).enumerate() {
        let mut block = [0.0; BLOCK];
        for ((out, x), weight) in block.iter_mut().zip(x).zip(weight) {
            *out = weight * ((x - center) * scale);
        }
        if let Some(bias) = rule.bias {
            for (out, bias) in block.iter_mut().zip(&bias[i * BLOCK..]) {
                *out += bias;
            }
        }
        // SAFETY: the caller vouches.
        unsafe { out.put(row, i, &block) };
    }
}

/// # Safety
/// See [`norm`].
#[inline(always)]
unsafe fn convert_row<D: Dot>(x: &[f32], (out, row): (&Activations, usize)) {
    let (whole, rest) = x.as_chunks::<BLOCK>();
    for (i, block) in whole.iter().enumerate() {
        // SAFETY: the caller vouches.
        unsafe { out.put(row, i, block) };
    }
    if !rest.is_empty() {
        let mut block = [0.0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        // SAFETY: the caller vouches.
        unsafe { out.put(row, whole.len(), &block) };
    }
}
