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
    simd::{LANES, Simd},
};

/// Takes the outputs of a tile: rows from the given one, of the panels from the given one.
pub(super) trait Sink {
    /// # Safety
    /// The tile is within the task's own outputs, and the machine has the instruction set.
    unsafe fn take<V: Simd>(&mut self, at: (usize, usize), tile: &[Outputs]);
}

/// Writes outputs where they belong, or adds them to what is there.
pub(super) struct Store<'a> {
    pub(super) out: *mut f32,
    pub(super) accumulate: bool,
    pub(super) weight: &'a Matrix<'a>,
}

impl Sink for Store<'_> {
    #[inline(always)]
    unsafe fn take<V: Simd>(&mut self, (row, panel): (usize, usize), tile: &[Outputs]) {
        let Matrix { rows: width, bias, .. } = *self.weight;
        let column = panel * PANEL;
        let len = BLOCK.min(width - column);
        if len == BLOCK {
            // SAFETY: the caller vouches for outputs and instruction set; biases were checked.
            return unsafe {
                let bias = Pair::<V>::of(bias.map(|bias| &bias[column]));
                for (m, outputs) in tile.iter().enumerate() {
                    let to = self.out.add((row + m) * width + column);
                    let sums = Pair::<V>::load(outputs.as_ptr()).plus(&bias);
                    if self.accumulate { Pair::load(to).plus(&sums) } else { sums }.store(to);
                }
            };
        }
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
                to.copy_from_slice(&outputs[..len]);
            }
        }
    }
}

/// The outputs of a row in registers.
struct Pair<V: Simd>([V::V; 2]);

/// # Safety
/// In all of these, the machine has the instruction set, and pointers are to [`BLOCK`] floats.
impl<V: Simd> Pair<V> {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches (so below).
        unsafe { Self([V::load(from), V::load(from.add(LANES))]) }
    }

    /// Those, or zeros.
    #[inline(always)]
    unsafe fn of(from: Option<&f32>) -> Self {
        // SAFETY: as above.
        unsafe {
            match from {
                Some(from) => Self::load(from),
                None => Self([V::zero(); 2]),
            }
        }
    }

    #[inline(always)]
    unsafe fn plus(&self, other: &Self) -> Self {
        // SAFETY: as above.
        unsafe { Self([V::add(self.0[0], other.0[0]), V::add(self.0[1], other.0[1])]) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe {
            V::store(to, self.0[0]);
            V::store(to.add(LANES), self.0[1]);
        }
    }
}

/// Keeps outputs of `NR` panels, which are a block of activations.
#[repr(C, align(64))]
pub(super) struct Keep<const ROWS: usize> {
    pub(super) rows: [[f32; BLOCK]; ROWS],
    pub(super) row: usize,
    /// What is added to them.
    pub(super) bias: [f32; BLOCK],
}

impl<const ROWS: usize> Sink for Keep<ROWS> {
    #[inline(always)]
    unsafe fn take<V: Simd>(&mut self, (row, _): (usize, usize), tile: &[Outputs]) {
        // SAFETY: the caller vouches; blocks are whole.
        unsafe {
            let bias = Pair::<V>::load(self.bias.as_ptr());
            for (to, outputs) in self.rows[row - self.row..].iter_mut().zip(tile) {
                Pair::<V>::load(outputs.as_ptr()).plus(&bias).store(to.as_mut_ptr());
            }
        }
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
    unsafe fn take<V: Simd>(&mut self, (row, _): (usize, usize), tile: &[Outputs]) {
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
