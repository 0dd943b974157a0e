//! What sequences' adapters add to the outputs of projections.
//!
//! Invariant: each row gets what its own sequence's adapter makes of it, and rows of sequences
//! without one get nothing.

use std::sync::Arc;

use kernels::{
    low_rank::{RowGroups, Target, add_low_rank},
    matmul::Rows,
    packed::Activations,
};

use super::layer::Machine;
use crate::{
    adapters::{Lora, Role},
    executors::Batch,
};

/// Projections of one input that are computed at once, at most.
pub(super) const MAX_TARGETS: usize = 3;

/// The adapters of a step, each with its rows.
pub(super) struct StepAdapters {
    rows: RowGroups,
    /// One for each group of rows.
    loras: Vec<Arc<Lora>>,
}

impl StepAdapters {
    /// None, for steps of at most `max_rows` rows.
    pub(super) fn new(max_rows: usize) -> Self {
        Self { rows: RowGroups::new(max_rows), loras: Vec::with_capacity(max_rows) }
    }

    /// Takes over a batch's: rows of one adapter come together, whichever sequences they are of.
    pub(super) fn set(&mut self, batch: &Batch) {
        self.clear();
        for (i, (_, lora)) in batch.adapters.iter().enumerate() {
            let is_same = |(_, other): &&(usize, Arc<Lora>)| Arc::ptr_eq(lora, other);
            if batch.adapters[..i].iter().any(|other| is_same(&other)) {
                continue;
            }
            self.rows.begin();
            for (span, _) in batch.adapters[i..].iter().filter(is_same) {
                let span = batch.spans[*span];
                (span.first_row..span.first_row + span.num_rows)
                    .for_each(|row| self.rows.push(row));
            }
            self.loras.push(Arc::clone(lora));
        }
    }

    /// Lets go of them.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.loras.clear();
    }
}

/// The adapters of a step, in one of its layers.
#[derive(Clone, Copy)]
pub(super) struct LayerAdapters<'a> {
    pub(super) all: &'a StepAdapters,
    pub(super) layer: usize,
}

/// A projection, its outputs, and how many a row has.
pub(super) type Adapted<'a> = (Role, &'a mut [f32], usize);

impl LayerAdapters<'_> {
    /// Whether any row has a pair for one of these projections.
    pub(super) fn touch(&self, roles: &[Role]) -> bool {
        let touches = |lora: &Arc<Lora>| roles.iter().any(|r| lora.pair(self.layer, *r).is_some());
        self.all.loras.iter().any(touches)
    }

    /// Adds to the outputs of projections of `x`, whose rows have `inputs` elements, what adapters
    /// make of it.
    pub(super) fn add<const N: usize>(
        &self,
        machine: &mut Machine,
        (x, rows, inputs): (&mut Activations, usize, usize),
        outputs: [Adapted<'_>; N],
    ) {
        const { assert!(N <= MAX_TARGETS, "there is memory for so many") };
        let roles = outputs.each_ref().map(|(role, ..)| *role);
        if !self.touch(&roles) {
            return;
        }
        let targets = outputs.map(|(_, out, width)| Target { out, width });
        let x = Rows { stride: x.stride(), data: x.as_f32(rows), m: rows };
        let pairs =
            |group: usize, target: usize| self.all.loras[group].pair(self.layer, roles[target]);
        let Machine { isa, pool, low_rank, .. } = machine;
        let groups = (&self.all.rows, &pairs as &kernels::low_rank::Pairs<'_>);
        add_low_rank((*isa, pool), (x, inputs), groups, targets, low_rank);
    }
}
