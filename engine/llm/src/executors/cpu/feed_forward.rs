//! A feed-forward layer over all rows of a step.

use kernels::{
    activation::{activate, glu},
    packed::{Activations, GatedProduct, convert_rows, gated_product},
};

use super::{
    layer::Machine,
    linear::{Linear, project},
    weights::FeedForward,
};

/// Memory of its inner values.
pub(super) struct FeedForwardBuffers {
    /// Gate and up projection, where they are not computed in one.
    gate: Vec<f32>,
    up: Vec<f32>,
    /// What goes into the projection down.
    inner: Activations,
}

impl FeedForwardBuffers {
    /// For each of `all`, which have one width, and at most `max_rows` rows.
    pub(super) fn new<'a>(max_rows: usize, all: impl Iterator<Item = &'a FeedForward>) -> Self {
        let (mut width, mut gate, mut up, mut kinds) = (0, 0, 0, Vec::new());
        for layer in all {
            width = layer.spec.width;
            if layer.fused().is_none() {
                gate = if layer.spec.gated { max_rows * width } else { gate };
                up = max_rows * width;
            }
            kinds.push(Linear::kind(&layer.down));
        }
        let inner = Activations::new(max_rows, width, &kinds);
        Self { gate: vec![0.0; gate], up: vec![0.0; up], inner }
    }
}

/// `out = down(f(gate(x)) · up(x))` of the first `rows` rows, or that added to `out`.
pub(super) fn feed_forward(
    machine: &mut Machine,
    weights: &FeedForward,
    (x, rows): (&mut Activations, usize),
    b: &mut FeedForwardBuffers,
    (out, accumulate): (&mut [f32], bool),
) {
    let (width, activation) = (weights.spec.width, weights.spec.activation);
    if let Some([gate, up]) = weights.fused() {
        let Machine { isa, pool, scratch, .. } = machine;
        let product = GatedProduct { gate, up, activation, out: &mut b.inner };
        gated_product((*isa, pool, scratch), x, rows, product);
    } else {
        let up = &mut b.up[..rows * width];
        let inner = if let Some(by) = &weights.gate {
            let gate = &mut b.gate[..rows * width];
            project(machine, x, rows, [(by, &mut *gate, false), (&weights.up, &mut *up, false)]);
            glu((machine.isa, &mut machine.pool), activation, gate, (up, width));
            gate
        } else {
            project(machine, x, rows, [(&weights.up, &mut *up, false)]);
            activate((machine.isa, &mut machine.pool), activation, (&mut *up, width));
            up
        };
        convert_rows((machine.isa, &mut machine.pool), inner, width, rows, &mut b.inner);
    }
    project(machine, &mut b.inner, rows, [(&weights.down, out, accumulate)]);
}
