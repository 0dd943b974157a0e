//! A mixture of experts over all rows of a step: each expert computes its rows together, and
//! threads take whole experts, so that they wait for each other once and not for each product.
//!
//! Invariant: a row's experts, and the order in which what they give is added up, depend on that
//! row only; kernels give a row the same result on any number of threads.

mod choice;
mod lane;

use std::sync::{Mutex, PoisonError};

use kernels::{
    Isa,
    packed::{Activations, Kind},
};

pub(crate) use self::choice::MAX_ACTIVE;
use self::{
    choice::{choose, sigmoid},
    lane::{Input, Lane, Memory, compute},
};
use super::{
    feed_forward::{FeedForwardBuffers, feed_forward},
    layer::Machine,
    linear::project,
    weights::Experts,
};
use crate::spec::ExpertsSpec;

/// Rows of an expert that one thread computes at a time: enough for an expert's weights to be
/// unpacked seldom, few enough for threads to share the work.
const LANE_ROWS: usize = 64;

/// A row that goes to an expert.
#[derive(Clone, Copy)]
struct Pick {
    expert: u32,
    row: u32,
    weight: f32,
}

/// Memory of a mixture.
pub(super) struct ExpertsBuffers {
    /// The router's logits, then scores; as wide as there are experts.
    scores: Vec<f32>,
    /// One row's scores for choosing.
    choice: Vec<f32>,
    /// The best scores of each group.
    groups: Vec<f32>,
    picks: Vec<Pick>,
    /// Where what one task computes ends: among the picks, then among its part's outputs.
    ends: Vec<usize>,
    /// What experts give, a row for each pick; of as many picks as a step has rows.
    output: Vec<f32>,
    /// Of all threads together.
    memory: Memory,
    /// Of each alone.
    lanes: Vec<Mutex<Lane>>,
    shared: FeedForwardBuffers,
}

impl ExpertsBuffers {
    /// For each of `all`, at most `max_rows` rows, and so many threads.
    pub(super) fn new(
        spec: &ExpertsSpec,
        (max_rows, hidden): (usize, usize),
        all: &[&Experts],
        (isa, threads): (Isa, usize),
    ) -> Self {
        let experts = || all.iter().flat_map(|layer| &layer.experts);
        let kinds: Vec<Kind> = experts()
            .flat_map(|expert| expert.gate.iter().chain([&expert.up]))
            .map(|linear| linear.kind())
            .collect();
        let memory = |rows| Memory::new((rows, hidden), &kinds, experts());
        let widest = experts().map(|expert| expert.spec.width).max().unwrap_or(0).max(hidden);
        let lane = || Lane { machine: Machine::alone(isa, widest), memory: memory(LANE_ROWS) };
        let max_picks = max_rows * spec.num_active;
        Self {
            scores: vec![0.0; max_rows * spec.num_experts],
            choice: vec![0.0; spec.num_experts],
            groups: vec![0.0; spec.router.groups.map_or(0, |groups| groups.num_groups)],
            picks: Vec::with_capacity(max_picks),
            ends: Vec::with_capacity(max_picks.div_ceil(LANE_ROWS) + spec.num_experts),
            output: vec![0.0; max_rows * hidden],
            memory: memory(max_rows),
            // One thread has nobody to wait for.
            lanes: if threads < 2 {
                Vec::new()
            } else {
                Vec::from_iter((0..threads).map(|_| Mutex::new(lane())))
            },
            shared: FeedForwardBuffers::new(
                (max_rows, false),
                all.iter().flat_map(|layer| &layer.shared),
            ),
        }
    }
}

/// `out = shared(x) + Σ weight · expert(x)`; `x` is kept as floats too.
pub(super) fn experts(
    machine: &mut Machine,
    (spec, weights): (&ExpertsSpec, &Experts),
    (x, rows): (&mut Activations, usize),
    b: &mut ExpertsBuffers,
    (out, hidden): (&mut [f32], usize),
) {
    match &weights.shared {
        Some(shared) => {
            feed_forward(machine, (shared, None), (x, rows), &mut b.shared, (out, false));
        }
        None => out.fill(0.0),
    }
    let scores = &mut b.scores[..rows * spec.num_experts];
    project(machine, x, rows, [(&weights.router, &mut *scores, false)]);
    let stride = x.stride();
    let x = x.as_f32(rows);
    if let Some(gate) = &weights.shared_gate {
        for (out, x) in out.chunks_exact_mut(hidden).zip(x.chunks_exact(stride)) {
            let logit: f32 = x.iter().zip(gate).map(|(x, gate)| x * gate).sum();
            out.iter_mut().for_each(|out| *out *= sigmoid(logit));
        }
    }
    b.picks.clear();
    for (row, scores) in scores.chunks_exact_mut(spec.num_experts).enumerate() {
        let memory = (&mut b.choice[..], &mut b.groups[..]);
        choose(spec, weights.choice_bias.as_deref(), scores, memory, &mut |expert, weight| {
            b.picks.push(Pick { expert, row: row as u32, weight });
        });
    }
    b.picks.sort_unstable_by_key(|pick| (pick.expert, pick.row));
    let input = Input { x, stride, hidden, weighted: spec.router.on_input };
    b.cut();
    if b.ends.len() >= 2 * b.lanes.len().max(1) && !b.lanes.is_empty() {
        beside(machine, weights, &input, b, out);
    } else {
        in_turn(machine, weights, &input, b, out);
    }
}

impl ExpertsBuffers {
    /// Cuts the picks where their expert changes, and where a thread has enough of them.
    fn cut(&mut self) {
        self.ends.clear();
        let mut end = 0;
        for picks in self.picks.chunk_by(|a, b| a.expert == b.expert) {
            for part in picks.chunks(LANE_ROWS) {
                end += part.len();
                self.ends.push(end);
            }
        }
    }
}

/// Each thread takes parts of the picks, as many at a time as there is memory for what comes out.
fn beside(
    machine: &mut Machine,
    weights: &Experts,
    input: &Input<'_>,
    b: &mut ExpertsBuffers,
    out: &mut [f32],
) {
    let ExpertsBuffers { picks, ends, output, lanes, .. } = b;
    let room = output.len() / input.hidden;
    let (mut first, mut rest) = (0, &mut ends[..]);
    while !rest.is_empty() {
        let num = rest.partition_point(|end| *end <= first + room);
        let (now, later) = rest.split_at_mut(num);
        let last = now.last().copied().unwrap_or(first);
        let picks = &picks[first..last];
        now.iter_mut().for_each(|end| *end = (*end - first) * input.hidden);
        machine.pool.run_parts(output, now, &|i, to, thread| {
            let from = if i == 0 { 0 } else { now[i - 1] / input.hidden };
            let picks = &picks[from..now[i] / input.hidden];
            let lane = &mut *lanes[thread].lock().unwrap_or_else(PoisonError::into_inner);
            compute(&mut lane.machine, weights, (input, picks), &mut lane.memory, to);
        });
        add(machine, input, (picks, output), out);
        (first, rest) = (last, later);
    }
}

/// All threads compute one expert after another.
fn in_turn(
    machine: &mut Machine,
    weights: &Experts,
    input: &Input<'_>,
    b: &mut ExpertsBuffers,
    out: &mut [f32],
) {
    for picks in b.picks.chunk_by(|a, b| a.expert == b.expert) {
        let to = &mut b.output[..picks.len() * input.hidden];
        compute(machine, weights, (input, picks), &mut b.memory, to);
        add(machine, input, (picks, &b.output), out);
    }
}

/// Adds what experts gave to its rows.
fn add(
    machine: &mut Machine,
    input: &Input<'_>,
    (picks, given): (&[Pick], &[f32]),
    out: &mut [f32],
) {
    let hidden = input.hidden;
    let rows = (out.len() / hidden).div_ceil(machine.pool.threads());
    machine.pool.run_chunks(out, rows.max(1) * hidden, &|i, out| {
        let first = i * rows;
        let own = first..first + out.len() / hidden;
        for (pick, from) in picks.iter().zip(given.chunks_exact(hidden)) {
            let row = pick.row as usize;
            if own.contains(&row) {
                let weight = if input.weighted { 1.0 } else { pick.weight };
                let to = &mut out[(row - first) * hidden..][..hidden];
                for (to, from) in to.iter_mut().zip(from) {
                    *to = from.mul_add(weight, *to);
                }
            }
        }
    });
}
