//! Attention in the plainest words, for tests.

use super::Params;

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
    let scores: Vec<f64> = keys[first..=position]
        .iter()
        .map(|key| {
            let dot: f64 = q.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let score = dot * f64::from(params.scale);
            params.softcap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
        })
        .collect();
    let sink = params.sinks.map(|sinks| f64::from(sinks[head]));
    let max = scores.iter().copied().chain(sink).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().copied().chain(sink).map(|s| (s - max).exp()).sum();
    let weighted = |d: usize| -> f64 {
        let weights = scores.iter().map(|s| (s - max).exp() / total);
        weights.zip(&values[first..=position]).map(|(w, value)| w * f64::from(value[d])).sum()
    };
    (0..q.len()).map(|d| weighted(d) as f32).collect()
}
