//! Tiles of the product on one thread.

use std::cell::RefCell;

use super::{Matrix, Rows};
use crate::{
    isa::Isa,
    quant::dequantize_with,
    simd::{LANES, Portable, Simd, sum},
};

/// Bytes of dequantised weights to work on at a time. Many rows of activations come back to a
/// panel again and again: half of a small L2 cache. A few read it once, best from the L1 cache.
const PANEL_BYTES: usize = 128 << 10;
const SMALL_PANEL_BYTES: usize = 16 << 10;
/// As many rows of activations count as a few.
const FEW_ROWS: usize = 8;
/// Rows of a panel at least (one register tile) and at most.
const PANEL_ROWS: (usize, usize) = (4, 32);

/// Weight rows per panel for `m` rows of activations of `k` elements.
pub(super) fn panel_rows(m: usize, k: usize) -> usize {
    let bytes = if m < FEW_ROWS { SMALL_PANEL_BYTES } else { PANEL_BYTES };
    (bytes / (4 * k.max(1))).clamp(PANEL_ROWS.0, PANEL_ROWS.1) / 4 * 4
}

/// Output of a product, written by several threads in disjoint columns.
pub(super) struct Out {
    pub(super) out: *mut f32,
    pub(super) accumulate: bool,
}
// SAFETY: each task writes only the columns `row..row + panel` of its own product, and no two
// tasks share any.
unsafe impl Sync for Out {}

/// One panel of one product.
pub(super) struct Task<'a> {
    pub(super) weight: Matrix<'a>,
    pub(super) out: &'a Out,
    pub(super) row: usize,
    pub(super) panel: usize,
}

/// `k` rounded up to whole vectors.
pub(super) fn stride(k: usize) -> usize {
    k.next_multiple_of(LANES)
}

/// Runs one task with the given instruction set.
pub(super) fn run(isa: Isa, x: &Rows<'_>, task: &Task<'_>) {
    thread_local! {
        /// The panel read back to `f32`; kept, so that steps do not allocate.
        static PANEL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    PANEL.with_borrow_mut(|panel| {
        let len = task.panel * stride(task.weight.cols);
        if panel.len() < len {
            panel.resize(len, 0.0);
        }
        match isa {
            // SAFETY: `matmul_on` has checked that this machine has the instruction set.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx2Vnni => unsafe { avx2(x, task, panel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 | Isa::Amx => unsafe {
                avx512(x, task, panel);
            },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::NeonDot => unsafe { neon(x, task, panel) },
            // The portable one; this architecture has no others.
            _ => portable(x, task, panel),
        }
    });
}

fn portable(x: &Rows<'_>, task: &Task<'_>, panel: &mut [f32]) {
    // SAFETY: plain arrays run everywhere.
    unsafe { multiply::<Portable, 2, 2>(x, task, panel) };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn avx2(x: &Rows<'_>, task: &Task<'_>, panel: &mut [f32]) {
    // SAFETY: the caller has checked the instruction set.
    unsafe { multiply::<crate::simd::Avx2, 2, 2>(x, task, panel) };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
fn avx512(x: &Rows<'_>, task: &Task<'_>, panel: &mut [f32]) {
    // SAFETY: the caller has checked the instruction set.
    unsafe { multiply::<crate::simd::Avx512, 4, 4>(x, task, panel) };
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon(x: &Rows<'_>, task: &Task<'_>, panel: &mut [f32]) {
    // SAFETY: the caller has checked the instruction set.
    unsafe { multiply::<crate::simd::Neon, 2, 2>(x, task, panel) };
}

/// Reads the task's weight rows back to `f32`, each row padded to whole vectors with zeros.
///
/// # Safety
/// The machine has the instruction set of `S`.
#[inline(always)]
unsafe fn load_panel<S: Simd>(task: &Task<'_>, panel: &mut [f32]) {
    let Matrix { data, dtype, rows, cols, .. } = task.weight;
    let (kp, row_bytes) = (stride(cols), data.len() / rows);
    for (i, row) in (task.row..rows.min(task.row + task.panel)).enumerate() {
        let to = &mut panel[i * kp..(i + 1) * kp];
        let from = &data[row * row_bytes..(row + 1) * row_bytes];
        // SAFETY: the caller vouches for the instruction set.
        unsafe { dequantize_with::<S>(dtype, from, &mut to[..cols]) };
        to[cols..].fill(0.0);
    }
}

/// Loads the panel and multiplies all rows of activations with it, in register tiles of
/// `MR × NR` outputs.
///
/// # Safety
/// The machine has the instruction set of `S`.
#[inline(always)]
unsafe fn multiply<S: Simd, const MR: usize, const NR: usize>(
    x: &Rows<'_>,
    task: &Task<'_>,
    panel: &mut [f32],
) {
    // SAFETY: the caller vouches for the instruction set.
    unsafe { load_panel::<S>(task, panel) };
    let kp = stride(task.weight.cols);
    let columns = task.panel.min(task.weight.rows - task.row);
    assert!(
        x.data.len() >= x.m * x.stride && x.stride >= kp && panel.len() >= columns * kp,
        "bounds of the tiles"
    );
    let (full_m, full_n) = (x.m / MR * MR, columns / NR * NR);
    for i in (0..full_m).step_by(MR) {
        for j in (0..full_n).step_by(NR) {
            // SAFETY: `i + MR <= m` and `j + NR <= columns`; bounds asserted above.
            unsafe { tile::<S, MR, NR>(x, task, panel, (i, j)) };
        }
    }
    for i in full_m..x.m {
        for j in (0..full_n).step_by(NR) {
            // SAFETY: one row, `NR` columns within bounds.
            unsafe { tile::<S, 1, NR>(x, task, panel, (i, j)) };
        }
    }
    for i in 0..x.m {
        for j in full_n..columns {
            // SAFETY: one row, one column within bounds.
            unsafe { tile::<S, 1, 1>(x, task, panel, (i, j)) };
        }
    }
}

/// One register tile: outputs `(i..i + MR) × (j..j + NR)`.
///
/// # Safety
/// Rows and columns are within bounds, and the machine has the instruction set of `S`.
#[inline(always)]
unsafe fn tile<S: Simd, const MR: usize, const NR: usize>(
    x: &Rows<'_>,
    task: &Task<'_>,
    panel: &[f32],
    (i, j): (usize, usize),
) {
    let kp = stride(task.weight.cols);
    let (a, b) = (x.data.as_ptr().wrapping_add(i * x.stride), panel.as_ptr().wrapping_add(j * kp));
    // SAFETY: the caller vouches for bounds and instruction set; outputs belong to this task.
    unsafe {
        let mut acc = [[S::zero(); NR]; MR];
        for k in (0..kp).step_by(LANES) {
            let mut w = [S::zero(); NR];
            for (n, w) in w.iter_mut().enumerate() {
                *w = S::load(b.add(n * kp + k));
            }
            for (m, acc) in acc.iter_mut().enumerate() {
                let a = S::load(a.add(m * x.stride + k));
                for (n, acc) in acc.iter_mut().enumerate() {
                    *acc = S::fma(a, w[n], *acc);
                }
            }
        }
        let column = task.row + j;
        for (m, acc) in acc.iter().enumerate() {
            for (n, acc) in acc.iter().enumerate() {
                let bias = task.weight.bias.map_or(0.0, |bias| bias[column + n]);
                let to = task.out.out.add((i + m) * task.weight.rows + column + n);
                let old = if task.out.accumulate { *to } else { 0.0 };
                *to = old + (sum::<S>(*acc) + bias);
            }
        }
    }
}
