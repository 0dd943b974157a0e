//! What some heads of the decoder look for among the encoder's rows, kept while tokens are
//! computed; and the keys that they find.
//!
//! Attention gives no weights away, and its keys may lie in bytes. So queries are kept where
//! somebody asks for times, and keys are computed again from the encoder's rows: what asks for none
//! pays nothing.
//! Invariant: queries are those that attention had.

use engine_core::TokenId;
use engine_weights::linear::project;
use kernels::packed::convert_rows;

use super::decoder::{Decoder, ENCODER_ROWS, Parallel};
use crate::alignment::{Alignment, Head, Weights};

/// Of each head, in order: `[token][dim]`.
pub(super) struct Queries {
    heads: Vec<[usize; 2]>,
    dim: usize,
    of_heads: Vec<Vec<f32>>,
}

impl Queries {
    fn new(heads: &[[usize; 2]], dim: usize) -> Self {
        Self { heads: heads.to_vec(), dim, of_heads: vec![Vec::new(); heads.len()] }
    }

    /// Keeps those of a layer, of as many tokens as `q` has rows.
    pub(super) fn keep(&mut self, layer: usize, q: &[f32], hidden: usize) {
        let Self { heads, dim, of_heads } = self;
        for ([of, head], kept) in heads.iter().zip(of_heads) {
            if *of == layer {
                let rows = q.chunks_exact(hidden);
                rows.for_each(|row| kept.extend_from_slice(&row[head * *dim..][..*dim]));
            }
        }
    }
}

impl Decoder {
    /// Where `tokens`, computed after those `before`, look among the first `num_positions` of the
    /// encoder's `rows`; `None` if nobody wants it any more, which `stop` says.
    pub(super) fn look(
        &mut self,
        (before, tokens): (&[TokenId], &[TokenId]),
        (rows, num_positions): (&[f32], usize),
        alignment: &Alignment,
        (isa, pool, scratch): Parallel<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Option<Weights> {
        let dim = self.hidden / self.heads;
        self.queries = Some(Queries::new(&alignment.heads, dim));
        let all = [before, tokens].concat();
        self.run((&all, 0), &[], (isa, &mut *pool, &mut *scratch), &mut Vec::new());
        let queries = self.queries.take()?;
        let mut weights = Weights::new(tokens.len(), num_positions, alignment.median);
        let (hidden, mut keys) = (self.hidden, (usize::MAX, Vec::new()));
        for ([layer, head], of_head) in queries.heads.iter().zip(&queries.of_heads) {
            if stop() {
                return None;
            }
            if keys.0 != *layer {
                keys = (*layer, self.keys(*layer, rows, (isa, &mut *pool, &mut *scratch)));
            }
            let (keys, queries) = (keys.1.as_slice(), &of_head[before.len() * dim..]);
            weights.add(Head { queries, keys, head: *head, dim, hidden }, pool);
        }
        Some(weights)
    }

    /// A layer's keys of the encoder's rows.
    fn keys(&mut self, layer: usize, rows: &[f32], (isa, pool, scratch): Parallel<'_>) -> Vec<f32> {
        let Self { weights, hidden, encoder_in, .. } = self;
        let by = &weights.layers[layer].cross.k;
        let mut keys = vec![0.0; rows.len()];
        let len = ENCODER_ROWS * *hidden;
        for (rows, keys) in rows.chunks(len).zip(keys.chunks_mut(len)) {
            let num_rows = rows.len() / *hidden;
            convert_rows((isa, pool), rows, *hidden, num_rows, encoder_in);
            project((isa, pool, scratch), encoder_in, num_rows, [(by, keys, false)]);
        }
        keys
    }
}
