//! One transformer block over all rows of a batch.

use engine_weights::linear::{Linear, project};
use kernels::{
    activation::{activate, glu},
    norm::norm_vectors,
    packed::{
        ActivatedProduct, Activations, GatedProduct, Matrix, activated_product, convert_rows,
        gated_product, norm_rows, norm_rows_in_place,
    },
};

use super::{
    attention::{self, AttentionBuffers},
    lane::{Machine, Place},
    weights::{LayerNorm, LayerWeights, StackWeights, kind},
};
use crate::spec::{BlockSpec, StackSpec};

/// Activations, each as many rows as a batch has at most.
pub(super) struct Buffers {
    /// The residual stream, or its norm, as products read it.
    x_in: Activations,
    /// Gate and up projection, where they are not computed in one with what follows.
    gate: Vec<f32>,
    up: Vec<f32>,
    /// What goes into the projection down.
    inner: Activations,
}

/// How the first part of a feed-forward layer is computed.
enum Inner<'a> {
    /// The gate's product and the other in one.
    Gated([Matrix<'a>; 2]),
    /// A product with its function.
    Activated(Matrix<'a>),
    /// One after another.
    Apart,
}

impl LayerWeights {
    fn inner(&self) -> Inner<'_> {
        let Some(up) = self.up.matrix() else { return Inner::Apart };
        match self.gate.as_ref().map(Linear::matrix) {
            None => Inner::Activated(up),
            Some(Some(gate))
                if gate.format == up.format && gate.bias.is_none() && up.bias.is_none() =>
            {
                Inner::Gated([gate, up])
            }
            Some(_) => Inner::Apart,
        }
    }
}

impl Buffers {
    pub(super) fn new(spec: &StackSpec, weights: &StackWeights, max_rows: usize) -> Self {
        let (hidden, width) = (spec.hidden_size, spec.feed_forward.width);
        let layers = || weights.layers.iter();
        let apart = layers().any(|layer| matches!(layer.inner(), Inner::Apart));
        let gated = apart && spec.feed_forward.gated;
        let readers = layers().flat_map(|w| [&w.q, &w.k, &w.v, &w.up].into_iter().chain(&w.gate));
        let readers: Vec<_> = readers.map(kind).collect();
        let inner: Vec<_> = layers().map(|layer| kind(&layer.down)).collect();
        Self {
            x_in: Activations::new(max_rows, hidden, &readers),
            gate: vec![0.0; if gated { max_rows * width } else { 0 }],
            up: vec![0.0; if apart { max_rows * width } else { 0 }],
            inner: Activations::new(max_rows, width, &inner),
        }
    }

    /// From the residual stream into a branch.
    fn enter(
        &mut self,
        norm: Option<&LayerNorm>,
        (x, hidden): (&[f32], usize),
        machine: &mut Machine,
    ) {
        let parallel = (machine.isa, &mut machine.pool);
        let rows = x.len() / hidden;
        match norm {
            Some(norm) => norm_rows(parallel, x, &norm.rule(), rows, &mut self.x_in),
            None => convert_rows(parallel, x, hidden, rows, &mut self.x_in),
        }
    }

    /// The same after a norm of the residual stream itself.
    fn enter_in_place(&mut self, norm: &LayerNorm, x: &mut [f32], machine: &mut Machine) {
        let rule = norm.rule();
        let rows = x.len() / rule.weight.len();
        norm_rows_in_place((machine.isa, &mut machine.pool), x, &rule, rows, &mut self.x_in);
    }
}

/// Norms rows in place, for what no product follows.
pub(super) fn norm(norm: &LayerNorm, x: &mut [f32], machine: &mut Machine) {
    let rule = norm.rule();
    let width = rule.weight.len();
    norm_vectors((machine.isa, &mut machine.pool), x, (width, width), &rule);
}

/// `x = norm(x + attention(x)); x = norm(x + feed_forward(x))`, or with norms before the branches.
pub(super) fn forward(
    (spec, i): (&StackSpec, usize),
    (x, places): (&mut [f32], &[Place]),
    weights: &LayerWeights,
    (b, attention): (&mut Buffers, &mut AttentionBuffers),
    machine: &mut Machine,
) {
    let hidden = spec.hidden_size;
    let rows = x.len() / hidden;
    let pre = spec.block != BlockSpec::PostNorm;
    let (attn_norm, ffn_norm) = (weights.attn_norm.as_ref(), &weights.ffn_norm);
    // After a norm that ends a layer, rows are there already.
    if pre || i == 0 {
        b.enter(attn_norm.filter(|_| pre), (x, hidden), machine);
    }
    let layer = (spec, &spec.layers[i]);
    attention::attend(layer, weights, (&mut b.x_in, places), attention, machine);
    let Machine { isa, pool, scratch, .. } = machine;
    let out = [(&weights.attn_output, &mut *x, true)];
    project((*isa, pool, scratch), &mut attention.attended_in, rows, out);
    match attn_norm.filter(|_| !pre) {
        Some(by) => b.enter_in_place(by, x, machine),
        None => b.enter(pre.then_some(ffn_norm), (x, hidden), machine),
    }
    feed_forward(spec, weights, (b, x), machine);
    if !pre {
        b.enter_in_place(ffn_norm, x, machine);
    }
}

/// `x += down(f(gate(x_in)) · up(x_in))`, or without a gate.
fn feed_forward(
    spec: &StackSpec,
    weights: &LayerWeights,
    (b, x): (&mut Buffers, &mut [f32]),
    machine: &mut Machine,
) {
    let rows = x.len() / spec.hidden_size;
    let (width, activation) = (spec.feed_forward.width, spec.feed_forward.activation);
    let Machine { isa, pool, scratch, .. } = machine;
    match weights.inner() {
        Inner::Gated([gate, up]) => {
            let product = GatedProduct { gate, up, activation, out: &mut b.inner };
            gated_product((*isa, pool, scratch), &b.x_in, rows, product);
        }
        Inner::Activated(weight) => {
            let product = ActivatedProduct { weight, activation, out: &mut b.inner };
            activated_product((*isa, pool, scratch), &b.x_in, rows, product);
        }
        Inner::Apart => {
            let up = &mut b.up[..rows * width];
            let x_in = &mut b.x_in;
            project((*isa, pool, scratch), x_in, rows, [(&weights.up, &mut *up, false)]);
            let inner = match &weights.gate {
                Some(by) => {
                    let gate = &mut b.gate[..rows * width];
                    project((*isa, pool, scratch), x_in, rows, [(by, &mut *gate, false)]);
                    glu((*isa, pool), activation, gate, (up, width));
                    gate
                }
                None => {
                    activate((*isa, pool), activation, (&mut *up, width));
                    up
                }
            };
            convert_rows((*isa, pool), inner, width, rows, &mut b.inner);
        }
    }
    project((*isa, pool, scratch), &mut b.inner, rows, [(&weights.down, x, true)]);
}
