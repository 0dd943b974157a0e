//! A mixture of experts over all rows of a step: each expert computes its rows together.
//!
//! Invariant: a row's experts, and the order in which what they give is added up, depend on that
//! row only.

use kernels::{
    exp::{exp, softmax},
    packed::{Activations, convert_rows},
};

use super::{
    feed_forward::{FeedForwardBuffers, feed_forward},
    layer::Machine,
    linear::project,
    weights::Experts,
};
use crate::spec::{ExpertsSpec, RouterScore, RouterSpec};

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
    /// Rows of one expert, as they are, as activations, and what comes out.
    gathered: Vec<f32>,
    input: Activations,
    output: Vec<f32>,
    expert: FeedForwardBuffers,
    shared: FeedForwardBuffers,
}

impl ExpertsBuffers {
    /// For each of `all`, and at most `max_rows` rows.
    pub(super) fn new(
        spec: &ExpertsSpec,
        (max_rows, hidden): (usize, usize),
        all: &[&Experts],
    ) -> Self {
        let experts = || all.iter().flat_map(|layer| &layer.experts);
        let kinds: Vec<_> = experts()
            .flat_map(|expert| expert.gate.iter().chain([&expert.up]))
            .map(|linear| linear.kind())
            .collect();
        Self {
            scores: vec![0.0; max_rows * spec.num_experts],
            choice: vec![0.0; spec.num_experts],
            groups: vec![0.0; spec.router.groups.map_or(0, |groups| groups.num_groups)],
            picks: Vec::with_capacity(max_rows * spec.num_active),
            gathered: vec![0.0; max_rows * hidden],
            input: Activations::new(max_rows, hidden, &kinds),
            output: vec![0.0; max_rows * hidden],
            expert: FeedForwardBuffers::new((max_rows, false), experts()),
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
    for picks in b.picks.chunk_by(|a, b| a.expert == b.expert) {
        let len = picks.len() * hidden;
        for (pick, to) in picks.iter().zip(b.gathered.chunks_exact_mut(hidden)) {
            to.copy_from_slice(&x[pick.row as usize * stride..][..hidden]);
            if spec.router.on_input {
                to.iter_mut().for_each(|x| *x *= pick.weight);
            }
        }
        let parallel = (machine.isa, &mut machine.pool);
        convert_rows(parallel, &b.gathered[..len], hidden, picks.len(), &mut b.input);
        let expert = &weights.experts[picks[0].expert as usize];
        let to = (&mut b.output[..len], false);
        feed_forward(machine, (expert, None), (&mut b.input, picks.len()), &mut b.expert, to);
        for (pick, from) in picks.iter().zip(b.output.chunks_exact(hidden)) {
            let weight = if spec.router.on_input { 1.0 } else { pick.weight };
            let to = &mut out[pick.row as usize * hidden..][..hidden];
            for (to, from) in to.iter_mut().zip(from) {
                *to = from.mul_add(weight, *to);
            }
        }
    }
}

/// Hands a row's experts and their weights to `take`; `scores` are the router's logits.
fn choose(
    spec: &ExpertsSpec,
    bias: Option<&[f32]>,
    scores: &mut [f32],
    (choice, groups): (&mut [f32], &mut [f32]),
    take: &mut dyn FnMut(u32, f32),
) {
    let router = &spec.router;
    match router.score {
        RouterScore::Softmax => softmax(scores),
        RouterScore::Sigmoid => scores.iter_mut().for_each(|x| *x = sigmoid(*x)),
    }
    choice.copy_from_slice(scores);
    if let Some(bias) = bias {
        choice.iter_mut().zip(bias).for_each(|(choice, bias)| *choice += bias);
    }
    hide_groups(router, choice, groups);
    // The best ones come first; what was taken is out of the running.
    let mut sum = 0.0;
    let nth = |choice: &mut [f32]| {
        let best = best(choice);
        choice[best] = f32::NEG_INFINITY;
        best
    };
    let mut taken = [0_u32; MAX_ACTIVE];
    let taken = &mut taken[..spec.num_active];
    for to in &mut *taken {
        let expert = nth(choice);
        sum += scores[expert];
        *to = expert as u32;
    }
    let scale = if router.normalize { router.scale / (sum + 1e-20) } else { router.scale };
    taken.iter().for_each(|expert| take(*expert, scores[*expert as usize] * scale));
}

/// The most experts of a token; families' parsers see to it.
pub(crate) const MAX_ACTIVE: usize = 64;

/// Takes all experts out of the running but those of the best groups.
fn hide_groups(router: &RouterSpec, choice: &mut [f32], scores: &mut [f32]) {
    let Some(groups) = router.groups else { return };
    let per_group = choice.len() / groups.num_groups;
    for (score, group) in scores.iter_mut().zip(choice.chunks_exact(per_group)) {
        let first = best(group);
        let others = group.iter().enumerate().filter(|(i, _)| *i != first).map(|(_, x)| *x);
        let second = others.fold(f32::NEG_INFINITY, f32::max);
        *score = group[first] + if groups.best == 2 { second } else { 0.0 };
    }
    for _ in 0..groups.num_active {
        let group = best(scores);
        // Marked as one that stays.
        scores[group] = f32::NAN;
    }
    for (score, group) in scores.iter().zip(choice.chunks_exact_mut(per_group)) {
        if !score.is_nan() {
            group.fill(f32::NEG_INFINITY);
        }
    }
}

/// The first of the greatest; 0 where nothing is a number.
fn best(x: &[f32]) -> usize {
    let mut best = 0;
    for (i, x_i) in x.iter().enumerate() {
        if *x_i > x[best] || x[best].is_nan() {
            best = i;
        }
    }
    best
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}
