//! Which experts a row goes to, and with what weights.
//!
//! Invariant: they depend on that row only.

use kernels::exp::{exp, softmax};

use crate::spec::{ExpertsSpec, RouterScore, RouterSpec};

/// Hands a row's experts and their weights to `take`; `scores` are the router's logits.
pub(super) fn choose(
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

pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}
