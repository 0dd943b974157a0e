//! A task of a product: some panels times some rows, on one thread.

use super::{
    Format, Matrix, PANEL,
    activations::{Activations, BLOCK, View},
    bf16::BAND as BF16_BAND,
    group::UNPACKED_BYTES,
    ready::{Form, Ready},
    sinks::{Gated, Keep, Store},
    tile::{NR, Tiles},
};
use crate::{
    activation::{Activation, activate_row},
    isa::Isa,
    simd::on_each_isa,
};

/// Which panels and rows.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    pub(super) first: usize,
    pub(super) num: usize,
    pub(super) row: usize,
    pub(super) rows: usize,
    /// Whether there is a matrix unit.
    pub(super) on_tiles: bool,
}

on_each_isa! {
    /// Multiplies rows with panels into `to`: the whole output, and whether to add to it.
    ///
    /// # Safety
    /// Shapes fit, nobody else touches these outputs nor `area`, and `isa` is available.
    product_panels = product_task(
        weight: &Matrix<'_>,
        x: &View,
        work: (Panels, *mut u8),
        to: (*mut f32, bool)
    )
}

on_each_isa! {
    /// The same through a function, into blocks of activations.
    ///
    /// # Safety
    /// As [`product_panels`].
    activated_panels = activated_task(
        weight: &Matrix<'_>,
        x: &View,
        work: (Panels, *mut u8),
        to: ((Activation, Isa), &Activations)
    )
}

on_each_isa! {
    /// The same for gate and up, into blocks of activations.
    ///
    /// # Safety
    /// As [`product_panels`].
    gate_panels = gate_task(
        weights: [&Matrix<'_>; 2],
        x: &View,
        work: (Panels, *mut u8),
        to: ((Activation, Isa), &Activations)
    )
}

on_each_isa! {
    /// Multiplies rows with one tile of panels, and keeps what comes of it. Its code is as much as
    /// that of all else here: there is one of it.
    ///
    /// # Safety
    /// As [`product_panels`].
    keep_rows = keep(ready: &Ready<'_>, x: &View, rows: (usize, usize), to: &mut Kept)
}

/// Rows at a time, whole bands: what is kept of them waits in the first-level cache.
const ROWS: usize = 24;
type Kept = Keep<BF16_BAND>;

const EMPTY: Kept = Keep { rows: [[0.0; BLOCK]; BF16_BAND], row: 0, bias: [0.0; BLOCK] };

/// Rows to keep at a time.
fn rows_to_keep(format: Format) -> usize {
    if format == Format::Bf16 { BF16_BAND } else { ROWS }
}

/// # Safety
/// See [`keep_rows`].
#[inline(always)]
unsafe fn keep<D: Tiles>(ready: &Ready<'_>, x: &View, rows: (usize, usize), to: &mut Kept) {
    to.row = rows.0;
    // SAFETY: the caller vouches.
    unsafe { ready.multiply::<D, _>(x, rows, to) };
}

/// # Safety
/// See [`product_panels`].
#[inline(always)]
unsafe fn product_task<D: Tiles>(
    weight: &Matrix<'_>,
    x: &View,
    (panels, area): (Panels, *mut u8),
    (out, accumulate): (*mut f32, bool),
) {
    let mut sink = Store { out, accumulate, weight };
    // SAFETY: the caller vouches.
    let form = unsafe { Form::new(weight.format, &panels) };
    for i in (0..panels.num).step_by(NR) {
        // SAFETY: the caller vouches.
        unsafe {
            let ready = Ready::new::<D>(weight, panels.first + i, &form, area);
            ready.multiply::<D, _>(x, (panels.row, panels.rows), &mut sink);
        }
    }
}

/// # Safety
/// See [`activated_panels`].
#[inline(always)]
unsafe fn activated_task<D: Tiles>(
    weight: &Matrix<'_>,
    x: &View,
    (panels, area): (Panels, *mut u8),
    ((activation, isa), to): ((Activation, Isa), &Activations),
) {
    let most = rows_to_keep(weight.format);
    let mut kept = EMPTY;
    // SAFETY: the caller vouches.
    let form = unsafe { Form::new(weight.format, &panels) };
    for i in (0..panels.num).step_by(NR) {
        let first = panels.first + i;
        let column = first * PANEL;
        if let Some(bias) = weight.bias {
            let bias = &bias[column..weight.rows.min(column + BLOCK)];
            kept.bias = [0.0; BLOCK];
            kept.bias[..bias.len()].copy_from_slice(bias);
        }
        // SAFETY: the caller vouches; the chunks are parts of the task's rows, and blocks its own.
        unsafe {
            let ready = Ready::new::<D>(weight, first, &form, area);
            for row in (0..panels.rows).step_by(most) {
                let rows = (panels.row + row, most.min(panels.rows - row));
                keep_rows(isa, &ready, x, rows, &mut kept);
                let blocks = &mut kept.rows[..rows.1];
                activate_row(isa, activation, blocks.as_flattened_mut());
                for (m, block) in blocks.iter().enumerate() {
                    to.put(rows.0 + m, first / NR, block);
                }
            }
        }
    }
}

/// # Safety
/// See [`gate_panels`].
#[inline(always)]
unsafe fn gate_task<D: Tiles>(
    [gate, up]: [&Matrix<'_>; 2],
    x: &View,
    (panels, area): (Panels, *mut u8),
    (activation, to): ((Activation, Isa), &Activations),
) {
    let most = rows_to_keep(gate.format);
    let mut gates = EMPTY;
    // SAFETY: the caller vouches.
    let form = unsafe { Form::new(gate.format, &panels) };
    for i in (0..panels.num).step_by(NR) {
        let first = panels.first + i;
        // SAFETY: the caller vouches; the chunks are parts of the task's rows.
        unsafe {
            let gate = Ready::new::<D>(gate, first, &form, area);
            let area = area.add(NR * x.groups * UNPACKED_BYTES);
            let up = Ready::new::<D>(up, first, &form, area);
            for row in (0..panels.rows).step_by(most) {
                let rows = (panels.row + row, most.min(panels.rows - row));
                keep_rows(activation.1, &gate, x, rows, &mut gates);
                let mut sink = Gated { gates: &gates, activation, to, block: first / NR };
                up.multiply::<D, _>(x, rows, &mut sink);
            }
        }
    }
}
