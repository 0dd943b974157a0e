//! A feed-forward layer over all rows of a step.

use kernels::{
    activation::{activate, glu},
    packed::{Activations, GatedProduct, Kind, convert_rows, gated_product},
};

use super::{
    adapters::LayerAdapters,
    layer::Machine,
    linear::{Linear, project},
    weights::FeedForward,
};
use crate::{adapters::Role, spec::FeedForwardSpec};

/// Memory of its inner values.
pub(super) struct FeedForwardBuffers {
    /// Gate and up projection, where they are not computed in one.
    gate: Vec<f32>,
    up: Vec<f32>,
    /// What goes into the projection down.
    inner: Activations,
}

impl FeedForwardBuffers {
    /// For each of `all`, which have one width, and at most `max_rows` rows; `adapters` says
    /// whether these may add to the projections.
    pub(super) fn new<'a>(
        (max_rows, adapters): (usize, bool),
        all: impl Iterator<Item = &'a FeedForward>,
    ) -> Self {
        let (mut width, mut gate, mut up, mut kinds) = (0, 0, 0, Vec::new());
        for layer in all {
            width = layer.spec.width;
            if adapters || layer.fused().is_none() {
                gate = if layer.spec.gated { max_rows * width } else { gate };
                up = max_rows * width;
            }
            kinds.push(Linear::kind(&layer.down));
        }
        if adapters {
            kinds.push(Kind::F32);
        }
        let inner = Activations::new(max_rows, width, &kinds);
        Self { gate: vec![0.0; gate], up: vec![0.0; up], inner }
    }
}

/// `out = down(f(gate(x)) · up(x))` of the first `rows` rows, or that added to `out`.
pub(super) fn feed_forward(
    machine: &mut Machine,
    (weights, adapters): (&FeedForward, Option<LayerAdapters<'_>>),
    (x, rows): (&mut Activations, usize),
    b: &mut FeedForwardBuffers,
    (out, accumulate): (&mut [f32], bool),
) {
    let FeedForwardSpec { width, activation, .. } = weights.spec;
    // Whether gate and up projection are computed in one makes no difference to any bit.
    let apart = adapters.is_some_and(|all| all.touch(&[Role::Gate, Role::Up]));
    if let Some([gate, up]) = weights.fused().filter(|_| !apart) {
        let Machine { isa, pool, scratch, .. } = machine;
        let product = GatedProduct { gate, up, activation, out: &mut b.inner };
        gated_product((*isa, pool, scratch), x, rows, product);
    } else {
        inner(machine, (weights, adapters), (x, rows), b);
    }
    project(machine, &mut b.inner, rows, [(&weights.down, &mut *out, accumulate)]);
    if let Some(adapters) = adapters {
        let hidden = out.len() / rows.max(1);
        adapters.add(machine, (&mut b.inner, rows, width), [(Role::Down, out, hidden)]);
    }
}

/// What goes into the projection down, step by step.
fn inner(
    machine: &mut Machine,
    (weights, adapters): (&FeedForward, Option<LayerAdapters<'_>>),
    (x, rows): (&mut Activations, usize),
    b: &mut FeedForwardBuffers,
) {
    let FeedForwardSpec { width, activation, .. } = weights.spec;
    let inputs = weights.inputs();
    let up = &mut b.up[..rows * width];
    let inner = if let Some(by) = &weights.gate {
        let gate = &mut b.gate[..rows * width];
        project(machine, x, rows, [(by, &mut *gate, false), (&weights.up, &mut *up, false)]);
        if let Some(adapters) = adapters {
            let adapted = [(Role::Gate, &mut *gate, width), (Role::Up, &mut *up, width)];
            adapters.add(machine, (x, rows, inputs), adapted);
        }
        glu((machine.isa, &mut machine.pool), activation, gate, (up, width));
        gate
    } else {
        project(machine, x, rows, [(&weights.up, &mut *up, false)]);
        if let Some(adapters) = adapters {
            adapters.add(machine, (x, rows, inputs), [(Role::Up, &mut *up, width)]);
        }
        activate((machine.isa, &mut machine.pool), activation, (&mut *up, width));
        up
    };
    convert_rows((machine.isa, &mut machine.pool), inner, width, rows, &mut b.inner);
}
