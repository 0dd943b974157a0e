//! From tokens to the residual stream: a sum of rows of tables, and its norm.

use std::ops::Range;

use engine_weights::{Tensor, Weights, WeightsError};
use kernels::elementwise::{add_scaled, gather};

use super::{
    batch::Batch,
    lane::{Lane, Machine},
    layer,
    weights::LayerNorm,
};
use crate::spec::EncoderSpec;

/// What makes rows of tokens.
pub(super) struct Tables {
    /// Tables are read a row at a time, so always as they are stored.
    pub(super) tokens: Tensor,
    pub(super) positions: Option<Tensor>,
    pub(super) types: Option<Tensor>,
    pub(super) norm: LayerNorm,
}

impl Tables {
    /// Finds and checks every tensor that the spec needs.
    pub(super) fn load(spec: &EncoderSpec, weights: &Weights) -> Result<Self, WeightsError> {
        let hidden = spec.stack.hidden_size;
        let table = |name: &str, rows| weights.expect(&format!("{name}.weight"), &[rows, hidden]);
        let positions = spec.embedding.positions.map(|spec| table("position_embd", spec.rows));
        let types = Some(spec.embedding.token_types).filter(|rows| *rows > 0);
        Ok(Self {
            tokens: table("token_embd", spec.vocab_size)?,
            positions: positions.transpose()?,
            types: types.map(|rows| table("token_types", rows)).transpose()?,
            norm: LayerNorm::load(weights, "token_embd_norm", hidden, &spec.stack.norm)?,
        })
    }

    /// The sum of the rows that belong to each of the batch's tokens in `rows`, and its norm.
    pub(super) fn embed(
        &self,
        batch: &Batch,
        rows: Range<usize>,
        (x, lane): (&mut [f32], &mut Lane),
    ) {
        let hidden = x.len() / rows.len();
        let (spare, machine) = lane.spare(x.len());
        read_rows(machine, &self.tokens, &batch.tokens[rows.clone()], x);
        let tables = [(&self.positions, &batch.positions), (&self.types, &batch.types)];
        for (table, ids) in tables {
            if let Some(table) = table {
                read_rows(machine, table, &ids[rows.clone()], spare);
                add_scaled((machine.isa, &mut machine.pool), (&mut *x, hidden), Some(spare), 1.0);
            }
        }
        layer::norm(&self.norm, x, machine);
    }
}

/// Reads rows of a stored table.
fn read_rows(machine: &mut Machine, table: &Tensor, ids: &[u32], to: &mut [f32]) {
    let [rows, width] = table.shape()[..] else { unreachable!("checked when it was loaded") };
    let row_bytes = table.bytes().len() / rows;
    let table = (table.dtype(), table.bytes(), row_bytes);
    gather((machine.isa, &mut machine.pool), table, ids, (to, width));
}
