//! Attention in the plainest words, for tests.

use super::Params;

/// As [`attention`](super::attention()) for one query head at `position`, whose keys and values
/// are rows of `q.len()` from position 0 on; summed in `f64`.
pub fn attention(
    params: &Params,
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
            dot * f64::from(params.scale)
        })
        .collect();
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().map(|s| (s - max).exp()).sum();
    let weighted = |d: usize| -> f64 {
        let weights = scores.iter().map(|s| (s - max).exp() / total);
        weights.zip(&values[first..=position]).map(|(w, value)| w * f64::from(value[d])).sum()
    };
    (0..q.len()).map(|d| weighted(d) as f32).collect()
}
