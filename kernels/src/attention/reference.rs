//! Attention in the plainest words, for tests.

use super::{Cache, Params, Query};

/// As [`attention`](super::attention()), one head at a time, summed in `f64`.
pub fn attention(
    cache: &Cache<'_>,
    params: &Params,
    queries: &[Query<'_>],
    q: &[f32],
    out: &mut [f32],
) {
    let layout = cache.layout;
    let (dim, heads) = (layout.head_dim, params.num_heads);
    for (t, query) in queries.iter().enumerate() {
        let first = params.window.map_or(0, |w| (query.position + 1).saturating_sub(w));
        for head in 0..heads {
            let kv_head = head / (heads / layout.num_kv_heads);
            let row = (t * heads + head) * dim..(t * heads + head + 1) * dim;
            let at = |p: usize| {
                let block = query.blocks[p / layout.block_size];
                layout.index(block, kv_head, p % layout.block_size)
            };
            let scores: Vec<f64> = (first..=query.position)
                .map(|p| {
                    let key = &cache.keys[at(p)..at(p) + dim];
                    let dot: f64 = q[row.clone()]
                        .iter()
                        .zip(key)
                        .map(|(a, b)| f64::from(*a) * f64::from(*b))
                        .sum();
                    dot * f64::from(params.scale)
                })
                .collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|s| (s - max).exp()).sum();
            for (d, out) in out[row].iter_mut().enumerate() {
                *out = (first..=query.position)
                    .zip(&scores)
                    .map(|(p, s)| (s - max).exp() / total * f64::from(cache.values[at(p) + d]))
                    .sum::<f64>() as f32;
            }
        }
    }
}
