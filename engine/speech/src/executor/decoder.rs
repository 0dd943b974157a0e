//! The decoder: from tokens to logits, with the encoder's rows in sight.
//!
//! Keys and values of the encoder's rows are computed once for each window; those of tokens as
//! they come. Both lie in the kernels' cache, so that attention to either is the same kernel: to
//! the tokens before, and to all rows of a window.
//!
//! Invariant: a token's logits depend on the window and the tokens before it only; beyond a prompt
//! nothing is allocated.

use engine_core::TokenId;
use engine_encoder::Precision;
use engine_weights::linear::{Linear, project};
use kernels::{
    Isa,
    activation::{Activation, activate},
    attention::{
        BLOCK_SIZE, Cache, CacheLayout, KvDtype, MAX_INT8_HEAD_DIM, Params, Plan, Run, attention,
    },
    elementwise::{add_scaled, gather},
    lines::Lines,
    packed::{Activations, Scratch, convert_rows, norm_rows},
    pool::Pool,
};

use super::{queries::Queries, weights};
use crate::spec::WhisperSpec;

/// Tokens that are computed at a time, of a prompt.
const MAX_ROWS: usize = 64;
/// Rows of the encoder whose keys and values are computed at a time.
pub(super) const ENCODER_ROWS: usize = 512;

pub(super) type Parallel<'a> = (Isa, &'a mut Pool, &'a mut Scratch);

/// Keys and values of all layers.
struct KeysAndValues {
    layout: CacheLayout,
    memory: Lines<u8>,
    blocks: Vec<u32>,
}

impl KeysAndValues {
    fn new(layout: CacheLayout, len: usize) -> Self {
        let num_blocks = len.div_ceil(BLOCK_SIZE);
        let memory = Lines::new(num_blocks * layout.block_bytes());
        Self { layout, memory, blocks: (0..num_blocks as u32).collect() }
    }

    /// The run, and one layer's part.
    fn layer(
        &mut self,
        layer: usize,
        (position, num_rows): (usize, usize),
    ) -> (Run<'_>, Cache<'_>) {
        let Self { layout, memory, blocks } = self;
        let end = (position + num_rows).div_ceil(BLOCK_SIZE);
        let run = Run { blocks: &blocks[..end], position, num_rows, first_row: 0 };
        (run, Cache::new(*layout, layer, memory))
    }
}

/// The decoder and its buffers.
pub(super) struct Decoder {
    pub(super) weights: weights::Decoder,
    pub(super) hidden: usize,
    width: usize,
    pub(super) heads: usize,
    positions: usize,
    activation: Activation,
    own: KeysAndValues,
    cross: KeysAndValues,
    plan: Plan,
    /// Residual stream.
    x: Vec<f32>,
    x_in: Activations,
    q: Vec<f32>,
    /// Of tokens, or of as many of the encoder's rows.
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    attended_in: Activations,
    up: Vec<f32>,
    inner: Activations,
    pub(super) encoder_in: Activations,
    last_in: Activations,
    /// Kept while somebody asks for them.
    pub(super) queries: Option<Queries>,
}

impl Decoder {
    pub(super) fn new(
        spec: &WhisperSpec,
        weights: weights::Decoder,
        (precision, isa, threads): (Precision, Isa, usize),
    ) -> Self {
        let (hidden, head_dim) = (spec.hidden_size(), spec.head_dim());
        let dtype = match (precision, KvDtype::fastest(isa)) {
            (Precision::Exact, _) => KvDtype::F32,
            (Precision::Fast, KvDtype::Int8) if head_dim > MAX_INT8_HEAD_DIM => KvDtype::Bf16,
            (Precision::Fast, dtype) => dtype,
        };
        let (num_layers, num_kv_heads) = (spec.decoder_layers, spec.decoder_heads);
        let layout = CacheLayout { num_layers, num_kv_heads, head_dim, dtype };
        let layers = || weights.layers.iter();
        let kinds = |of: fn(&weights::Layer) -> Vec<&Linear>| -> Vec<_> {
            layers().flat_map(of).map(Linear::kind).collect()
        };
        let readers = kinds(|l| vec![&l.own.q, &l.own.k, &l.own.v, &l.cross.q, &l.up]);
        let outputs = kinds(|l| vec![&l.own.output, &l.cross.output]);
        let (inner, encoder) = (kinds(|l| vec![&l.down]), kinds(|l| vec![&l.cross.k, &l.cross.v]));
        let rows = |num: usize| vec![0.0; num * hidden];
        Self {
            hidden,
            width: spec.decoder_width,
            heads: spec.decoder_heads,
            positions: spec.positions(),
            activation: spec.activation,
            own: KeysAndValues::new(layout, spec.max_tokens),
            cross: KeysAndValues::new(layout, spec.positions()),
            plan: Plan::new(threads, (head_dim, 1), MAX_ROWS),
            x: rows(MAX_ROWS),
            x_in: Activations::new(MAX_ROWS, hidden, &readers),
            q: rows(MAX_ROWS),
            k: rows(MAX_ROWS.max(ENCODER_ROWS)),
            v: rows(MAX_ROWS.max(ENCODER_ROWS)),
            attended: rows(MAX_ROWS),
            attended_in: Activations::new(MAX_ROWS, hidden, &outputs),
            up: vec![0.0; MAX_ROWS * spec.decoder_width],
            inner: Activations::new(MAX_ROWS, spec.decoder_width, &inner),
            encoder_in: Activations::new(ENCODER_ROWS, hidden, &encoder),
            last_in: Activations::new(1, hidden, &[weights.head.kind()]),
            queries: None,
            weights,
        }
    }

    /// Keys and values of the encoder's rows.
    pub(super) fn read(&mut self, rows: &[f32], (isa, pool, scratch): Parallel<'_>) {
        let Self { weights, hidden, cross, k, v, encoder_in, .. } = self;
        for (chunk, rows) in rows.chunks(ENCODER_ROWS * *hidden).enumerate() {
            let num_rows = rows.len() / *hidden;
            convert_rows((isa, pool), rows, *hidden, num_rows, encoder_in);
            for (i, layer) in weights.layers.iter().enumerate() {
                let (k, v) = (&mut k[..rows.len()], &mut v[..rows.len()]);
                let both = [(&layer.cross.k, &mut *k, false), (&layer.cross.v, &mut *v, false)];
                project((isa, pool, scratch), encoder_in, num_rows, both);
                let (run, mut cache) = cross.layer(i, (chunk * ENCODER_ROWS, num_rows));
                cache.write((isa, pool), &[run], k, v);
            }
        }
    }

    /// See [`Executor::decode`](super::Executor::decode).
    pub(super) fn run(
        &mut self,
        (tokens, mut position): (&[TokenId], usize),
        wanted: &[usize],
        (isa, pool, scratch): Parallel<'_>,
        logits: &mut Vec<f32>,
    ) {
        // As many at a time as a window has rows: attention sees all of them from the last ones.
        let max_rows = MAX_ROWS.min(self.positions);
        let mut first = 0;
        for tokens in tokens.chunks(max_rows) {
            self.embed((tokens, position), (isa, pool));
            for layer in 0..self.weights.layers.len() {
                self.layer(layer, (position, tokens.len()), (isa, &mut *pool, &mut *scratch));
            }
            let here = wanted.iter().filter(|at| (first..first + tokens.len()).contains(at));
            for at in here {
                self.logits(at - first, (isa, &mut *pool, &mut *scratch), logits);
            }
            position += tokens.len();
            first += tokens.len();
        }
    }

    fn embed(&mut self, (tokens, position): (&[TokenId], usize), (isa, pool): (Isa, &mut Pool)) {
        let hidden = self.hidden;
        let x = &mut self.x[..tokens.len() * hidden];
        let table = &self.weights.tokens;
        let row_bytes = table.bytes().len() / table.shape()[0];
        gather((isa, pool), (table.dtype(), table.bytes(), row_bytes), tokens, (x, hidden));
        let positions = &self.weights.positions[position * hidden..][..x.len()];
        add_scaled((isa, pool), (x, hidden), Some(positions), 1.0);
    }

    fn layer(
        &mut self,
        i: usize,
        (position, rows): (usize, usize),
        (isa, pool, scratch): Parallel<'_>,
    ) {
        let Self { weights, hidden, width, heads, positions, .. } = self;
        let (layer, hidden, width) = (&weights.layers[i], *hidden, *width);
        let x = &mut self.x[..rows * hidden];
        let (q, attended) = (&mut self.q[..x.len()], &mut self.attended[..x.len()]);
        let scale = 1.0 / ((hidden / *heads) as f32).sqrt();
        let params = Params { num_heads: *heads, scale, ..Params::default() };
        // To the tokens before, and itself.
        let (k, v) = (&mut self.k[..x.len()], &mut self.v[..x.len()]);
        norm_rows((isa, pool), x, &layer.own.norm.rule(), rows, &mut self.x_in);
        let all = [
            (&layer.own.q, &mut *q, false),
            (&layer.own.k, &mut *k, false),
            (&layer.own.v, &mut *v, false),
        ];
        project((isa, pool, scratch), &mut self.x_in, rows, all);
        let (run, mut cache) = self.own.layer(i, (position, rows));
        cache.write((isa, pool), &[run], k, v);
        attention((isa, pool, &mut self.plan), (&cache, &params), &[run], q, attended);
        convert_rows((isa, pool), attended, hidden, rows, &mut self.attended_in);
        let out = [(&layer.own.output, &mut *x, true)];
        project((isa, pool, scratch), &mut self.attended_in, rows, out);
        // To all rows of the encoder: as if these were its last ones and looked both ways.
        norm_rows((isa, pool), x, &layer.cross.norm.rule(), rows, &mut self.x_in);
        project((isa, pool, scratch), &mut self.x_in, rows, [(&layer.cross.q, &mut *q, false)]);
        if let Some(queries) = &mut self.queries {
            queries.keep(i, q, hidden);
        }
        let params = Params { both_ways: true, ..params };
        let (run, cache) = self.cross.layer(i, (*positions - rows, rows));
        attention((isa, pool, &mut self.plan), (&cache, &params), &[run], q, attended);
        convert_rows((isa, pool), attended, hidden, rows, &mut self.attended_in);
        let out = [(&layer.cross.output, &mut *x, true)];
        project((isa, pool, scratch), &mut self.attended_in, rows, out);
        // Feed-forward.
        norm_rows((isa, pool), x, &layer.norm.rule(), rows, &mut self.x_in);
        let up = &mut self.up[..rows * width];
        project((isa, pool, scratch), &mut self.x_in, rows, [(&layer.up, &mut *up, false)]);
        activate((isa, pool), self.activation, (&mut *up, width));
        convert_rows((isa, pool), up, width, rows, &mut self.inner);
        project((isa, pool, scratch), &mut self.inner, rows, [(&layer.down, x, true)]);
    }

    /// Adds the logits of a row.
    fn logits(&mut self, row: usize, (isa, pool, scratch): Parallel<'_>, logits: &mut Vec<f32>) {
        let Self { weights, hidden, x, last_in, .. } = self;
        let x = &x[row * *hidden..(row + 1) * *hidden];
        norm_rows((isa, pool), x, &weights.norm.rule(), 1, last_in);
        let (first, vocab_size) = (logits.len(), weights.tokens.shape()[0]);
        logits.resize(first + vocab_size, 0.0);
        let out = &mut logits[first..];
        project((isa, pool, scratch), last_in, 1, [(&weights.head, out, false)]);
    }
}
