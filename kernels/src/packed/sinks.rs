//! Where the outputs of tiles go: to memory, or on into the next product's activations.

use super::{
    Matrix, PANEL,
    activations::{Activations, BLOCK},
    tile::Outputs,
};
use crate::{
    activation::{Activation, gate_into},
    exp::exp,
    isa::Isa,
};

/// Takes the outputs of a tile: rows from the given one, of the panels from the given one.
pub(super) trait Sink {
    /// # Safety
    /// The tile is within the task's own outputs.
    unsafe fn take(&mut self, at: (usize, usize), tile: &[Outputs]);
}

/// Writes outputs where they belong, or adds them to what is there.
pub(super) struct Store<'a> {
    pub(super) out: *mut f32,
    pub(super) accumulate: bool,
    pub(super) weight: &'a Matrix<'a>,
}

impl Sink for Store<'_> {
    #[inline(always)]
    unsafe fn take(&mut self, (row, panel): (usize, usize), tile: &[Outputs]) {
        let Matrix { rows: width, bias, .. } = *self.weight;
        let column = panel * PANEL;
        let len = BLOCK.min(width - column);
        for (m, outputs) in tile.iter().enumerate() {
            let mut outputs = *outputs;
            if let Some(bias) = bias {
                for (x, bias) in outputs.iter_mut().zip(&bias[column..column + len]) {
                    *x += bias;
                }
            }
            // SAFETY: the caller vouches for the outputs; lanes past the end stay out.
            unsafe {
                let to = self.out.add((row + m) * width + column);
                let to = std::slice::from_raw_parts_mut(to, len);
                if self.accumulate {
                    for (x, to) in outputs.iter_mut().zip(&*to) {
                        *x += to;
                    }
                }
                match to.as_mut_array::<BLOCK>() {
                    Some(to) => *to = outputs,
                    None => to.copy_from_slice(&outputs[..len]),
                }
            }
        }
    }
}

/// Keeps outputs of `NR` panels, which are a block of activations.
#[repr(C, align(64))]
pub(super) struct Keep<const ROWS: usize> {
    pub(super) rows: [[f32; BLOCK]; ROWS],
    pub(super) row: usize,
}

impl<const ROWS: usize> Sink for Keep<ROWS> {
    #[inline(always)]
    unsafe fn take(&mut self, (row, _): (usize, usize), tile: &[Outputs]) {
        self.rows[row - self.row..][..tile.len()].copy_from_slice(tile);
    }
}

/// Multiplies kept gates with what comes, and writes blocks of activations.
pub(super) struct Gated<'a, const ROWS: usize> {
    pub(super) gates: &'a Keep<ROWS>,
    pub(super) activation: (Activation, Isa),
    pub(super) to: &'a Activations,
    pub(super) block: usize,
}

impl<const ROWS: usize> Sink for Gated<'_, ROWS> {
    #[inline(always)]
    unsafe fn take(&mut self, (row, _): (usize, usize), tile: &[Outputs]) {
        for (m, outputs) in tile.iter().enumerate() {
            let mut block = *outputs;
            let gates = &self.gates.rows[row - self.gates.row + m];
            // Every tile has this in its code: only the most usual one is worth that.
            if self.activation.0 == Activation::Silu {
                for (x, gate) in block.iter_mut().zip(gates) {
                    *x *= gate / (1.0 + exp(-gate));
                }
            } else {
                // SAFETY: the instruction set that runs is available.
                unsafe { gate_into(self.activation.1, self.activation.0, gates, &mut block) };
            }
            // SAFETY: the block is the task's own.
            unsafe { self.to.put(row + m, self.block, &block) };
        }
    }
}
