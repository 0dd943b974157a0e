//! Matrices of the decoder, and their products with rows.

use engine_weights::linear;
use kernels::packed::Activations;

use super::layer::Machine;
pub(super) use engine_weights::linear::{Linear, Projection, Weight, vector};

/// Multiplies the first `rows` rows of `x` with several matrices, at once if all are packed.
pub(super) fn project<const N: usize>(
    machine: &mut Machine,
    x: &mut Activations,
    rows: usize,
    all: [Projection<'_>; N],
) {
    let Machine { isa, pool, scratch, .. } = machine;
    linear::project((*isa, pool, scratch), x, rows, all);
}
