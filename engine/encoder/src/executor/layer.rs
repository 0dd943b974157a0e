//! Embedding, and one transformer block over all rows of a batch.

use engine_weights::{
    Tensor,
    linear::{Linear, project},
};
use kernels::{
    activation::{activate, glu},
    elementwise::{add_scaled, gather},
    norm::norm_vectors,
    packed::{
        ActivatedProduct, Activations, GatedProduct, Matrix, activated_product, convert_rows,
        gated_product, norm_rows,
    },
};

use super::{
    Machine,
    attention::{self, AttentionBuffers},
    batch::Batch,
    weights::{EncoderWeights, LayerNorm, LayerWeights},
};
use crate::spec::{BlockSpec, EncoderSpec};

/// Activations, each as many rows as a batch has at most.
pub(super) struct Buffers {
    /// Residual stream, `hidden_size` wide.
    pub(super) x: Vec<f32>,
    /// The same, or its norm, as products read it.
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
    pub(super) fn new(spec: &EncoderSpec, weights: &EncoderWeights, max_rows: usize) -> Self {
        let (hidden, width) = (spec.hidden_size, spec.feed_forward.width);
        let layers = || weights.layers.iter();
        let apart = layers().any(|layer| matches!(layer.inner(), Inner::Apart));
        let gated = apart && spec.feed_forward.gated;
        let readers = layers().flat_map(|w| [&w.q, &w.k, &w.v, &w.up].into_iter().chain(&w.gate));
        let readers: Vec<_> = readers.map(Linear::kind).collect();
        let inner: Vec<_> = layers().map(|layer| layer.down.kind()).collect();
        Self {
            x: vec![0.0; max_rows * hidden],
            x_in: Activations::new(max_rows, hidden, &readers),
            gate: vec![0.0; if gated { max_rows * width } else { 0 }],
            up: vec![0.0; if apart { max_rows * width } else { 0 }],
            inner: Activations::new(max_rows, width, &inner),
        }
    }

    /// The sum of the rows that belong to each token, and its norm.
    pub(super) fn embed(
        &mut self,
        (spec, weights): (&EncoderSpec, &EncoderWeights),
        (batch, spare): (&Batch, &mut [f32]),
        machine: &mut Machine,
    ) {
        let hidden = spec.hidden_size;
        let x = &mut self.x[..batch.rows() * hidden];
        read_rows(machine, &weights.tokens, &batch.tokens, x);
        let tables = [(&weights.positions, &batch.positions), (&weights.types, &batch.types)];
        for (table, ids) in tables {
            if let Some(table) = table {
                read_rows(machine, table, ids, spare);
                add_scaled((machine.isa, &mut machine.pool), (&mut *x, hidden), Some(spare), 1.0);
            }
        }
        self.norm(&weights.embedding_norm, batch.rows(), machine);
    }

    /// Norms the residual stream.
    pub(super) fn norm(&mut self, norm: &LayerNorm, rows: usize, machine: &mut Machine) {
        let rule = norm.rule();
        let width = rule.weight.len();
        let x = &mut self.x[..rows * width];
        norm_vectors((machine.isa, &mut machine.pool), x, (width, width), &rule);
    }

    /// From the residual stream into a branch.
    fn enter(
        &mut self,
        norm: Option<&LayerNorm>,
        (rows, hidden): (usize, usize),
        machine: &mut Machine,
    ) {
        let parallel = (machine.isa, &mut machine.pool);
        let x = &self.x[..rows * hidden];
        match norm {
            Some(norm) => norm_rows(parallel, x, &norm.rule(), rows, &mut self.x_in),
            None => convert_rows(parallel, x, hidden, rows, &mut self.x_in),
        }
    }
}

/// Reads rows of a stored table.
fn read_rows(machine: &mut Machine, table: &Tensor, ids: &[u32], to: &mut [f32]) {
    let [rows, width] = table.shape()[..] else { unreachable!("checked when it was loaded") };
    let row_bytes = table.bytes().len() / rows;
    let table = (table.dtype(), table.bytes(), row_bytes);
    gather((machine.isa, &mut machine.pool), table, ids, (to, width));
}

/// `x = norm(x + attention(x)); x = norm(x + feed_forward(x))`, or with norms before the branches.
pub(super) fn forward(
    (spec, i): (&EncoderSpec, usize),
    (weights, batch): (&LayerWeights, &Batch),
    (b, attention): (&mut Buffers, &mut AttentionBuffers),
    machine: &mut Machine,
) {
    let (rows, hidden) = (batch.rows(), spec.hidden_size);
    let pre = spec.block == BlockSpec::PreNorm;
    let (attn_norm, ffn_norm) = (weights.attn_norm.as_ref(), &weights.ffn_norm);
    b.enter(attn_norm.filter(|_| pre), (rows, hidden), machine);
    let layer = (spec, &spec.layers[i]);
    attention::attend(layer, weights, (&mut b.x_in, batch), attention, machine);
    let x = &mut b.x[..rows * hidden];
    let Machine { isa, pool, scratch, .. } = machine;
    let out = [(&weights.attn_output, x, true)];
    project((*isa, pool, scratch), &mut attention.attended_in, rows, out);
    if let Some(norm) = attn_norm.filter(|_| !pre) {
        b.norm(norm, rows, machine);
    }
    b.enter(pre.then_some(ffn_norm), (rows, hidden), machine);
    feed_forward(spec, weights, (b, rows), machine);
    if !pre {
        b.norm(ffn_norm, rows, machine);
    }
}

/// `x += down(f(gate(x_in)) · up(x_in))`, or without a gate.
fn feed_forward(
    spec: &EncoderSpec,
    weights: &LayerWeights,
    (b, rows): (&mut Buffers, usize),
    machine: &mut Machine,
) {
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
    let out = &mut b.x[..rows * spec.hidden_size];
    project((*isa, pool, scratch), &mut b.inner, rows, [(&weights.down, out, true)]);
}
