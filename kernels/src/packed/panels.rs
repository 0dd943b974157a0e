//! A task of a product: some panels times some rows, on one thread.

use super::{
    Format, Matrix,
    activations::{Activations, BLOCK, View},
    bf16::BAND as BF16_BAND,
    group::UNPACKED_BYTES,
    ready::{Form, Ready},
    sinks::{Gated, Keep, Store},
    tile::{NR, Tiles},
};
use crate::{activation::Activation, isa::Isa, simd::on_each_isa};

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
/// See [`gate_panels`].
#[inline(always)]
unsafe fn gate_task<D: Tiles>(
    [gate, up]: [&Matrix<'_>; 2],
    x: &View,
    (panels, area): (Panels, *mut u8),
    (activation, to): ((Activation, Isa), &Activations),
) {
    /// Rows at a time, whole bands: their gates wait in the first-level cache.
    const ROWS: usize = 24;
    let most = if gate.format == Format::Bf16 { BF16_BAND } else { ROWS };
    let mut gates = Keep { rows: [[0.0; BLOCK]; BF16_BAND], row: 0 };
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
                gates.row = rows.0;
                gate.multiply::<D, _>(x, rows, &mut gates);
                let mut sink = Gated { gates: &gates, activation, to, block: first / NR };
                up.multiply::<D, _>(x, rows, &mut sink);
            }
        }
    }
}
