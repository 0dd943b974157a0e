//! Attention in the plainest words, for tests.

use super::{Distances, Params};

/// As [`attention`](super::attention()) for one query head, of that number, at `position`, whose
/// keys and values are rows of `q.len()` from position 0 on; summed in `f64`.
pub fn attention(
    (params, head): (&Params<'_>, usize),
    position: usize,
    q: &[f32],
    keys: &[Vec<f32>],
    values: &[Vec<f32>],
) -> Vec<f32> {
    let first = params.window.map_or(0, |window| (position + 1).saturating_sub(window));
    let window = params.window.unwrap_or(usize::MAX);
    let both = position.saturating_add(window).min(keys.len());
    let end = if params.both_ways { both } else { position + 1 };
    let added = |key: usize| {
        params.distances.map_or(0.0, |Distances { table, reach }| {
            f64::from(table[head * Distances::width(reach) + reach + key - position])
        })
    };
    let scores: Vec<f64> = (first..end)
        .map(|at| (at, &keys[at]))
        .map(|(at, key)| {
            let dot: f64 = q.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let score = dot * f64::from(params.scale);
            let cap = params.softcap.map(f64::from);
            cap.map_or(score, |cap| cap * (score / cap).tanh()) + added(at)
        })
        .collect();
    let sink = params.sinks.map(|sinks| f64::from(sinks[head]));
    let max = scores.iter().copied().chain(sink).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().copied().chain(sink).map(|s| (s - max).exp()).sum();
    let weighted = |d: usize| -> f64 {
        let weights = scores.iter().map(|s| (s - max).exp() / total);
        weights.zip(&values[first..end]).map(|(w, value)| w * f64::from(value[d])).sum()
    };
    (0..q.len()).map(|d| weighted(d) as f32).collect()
}
