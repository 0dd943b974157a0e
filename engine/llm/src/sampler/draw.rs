//! Truncation of the distribution and the draw itself.

use engine_core::{SamplingParams, TokenId};

use super::by_rank;

/// How many candidates are ranked at first; more only if `top_p` asks for them.
const FIRST_RANKED: usize = 64;

/// A number in `[0, 1)` that depends on seed and position only (the SplitMix64 finaliser of a
/// Weyl sequence).
pub(super) fn uniform(seed: u64, num_generated: u32) -> f64 {
    const WEYL: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut z = seed.wrapping_add(WEYL.wrapping_mul(u64::from(num_generated) + 1));
    for _ in 0..2 {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
    }
    (z >> 11) as f64 / (1_u64 << 53) as f64
}

/// Draws from `softmax(logits / temperature)` after `min_p`, `top_k` and `top_p`, by the
/// inverse of the cumulative distribution at `u`.
pub(super) fn draw(logits: &[f32], params: &SamplingParams, u: f64) -> TokenId {
    let max = kernels::exp::max(logits);
    // In the exponent's terms, p ≥ min_p · p_max is l ≥ l_max + T · ln min_p.
    let floor = if params.min_p > 0.0 {
        max + params.temperature * params.min_p.min(1.0).ln()
    } else {
        f32::NEG_INFINITY
    };
    let mut candidates: Vec<(TokenId, f32)> = (0..)
        .zip(logits.iter().copied())
        .filter(|(_, logit)| *logit >= floor && *logit > f32::NEG_INFINITY)
        .collect();
    let top_k = params.top_k as usize;
    if top_k > 0 && top_k < candidates.len() {
        candidates.select_nth_unstable_by(top_k - 1, by_rank);
        candidates.truncate(top_k);
    }
    for (_, logit) in &mut candidates {
        *logit = ((*logit - max) / params.temperature).exp();
    }
    if params.top_p < 1.0 {
        keep_nucleus(&mut candidates, params.top_p);
    } else if top_k > 0 {
        candidates.sort_unstable_by(by_rank);
    }
    let total: f64 = candidates.iter().map(|(_, p)| f64::from(*p)).sum();
    let mut left = u * total;
    for (token, p) in &candidates {
        left -= f64::from(*p);
        if left < 0.0 {
            return *token;
        }
    }
    // Rounding may leave a crumb; the last candidate takes it.
    candidates.last().map_or(0, |(token, _)| *token)
}

/// Keeps the smallest set of most likely candidates whose share reaches `top_p`, at least one,
/// ranking no more of them than needed.
fn keep_nucleus(candidates: &mut Vec<(TokenId, f32)>, top_p: f32) {
    let total: f64 = candidates.iter().map(|(_, p)| f64::from(*p)).sum();
    let goal = total * f64::from(top_p);
    let (mut ranked, mut reached) = (0, 0.0);
    let mut next = FIRST_RANKED;
    while ranked < candidates.len() {
        let end = next.min(candidates.len());
        if end < candidates.len() {
            candidates[ranked..].select_nth_unstable_by(end - ranked - 1, by_rank);
        }
        candidates[ranked..end].sort_unstable_by(by_rank);
        for i in ranked..end {
            reached += f64::from(candidates[i].1);
            if reached >= goal {
                candidates.truncate(i + 1);
                return;
            }
        }
        ranked = end;
        next *= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(logits: &[f32], params: &SamplingParams) -> Vec<f64> {
        let draws = 20_000;
        let mut counts = vec![0.0; logits.len()];
        for i in 0..draws {
            counts[draw(logits, params, uniform(42, i)) as usize] += 1.0 / f64::from(draws);
        }
        counts
    }

    #[test]
    fn draws_follow_the_distribution() {
        let probabilities = [0.5_f32, 0.1, 0.25, 0.15];
        let logits = probabilities.map(f32::ln);
        let all = shares(&logits, &SamplingParams::default());
        for (share, p) in all.iter().zip(probabilities) {
            assert!((share - f64::from(p)).abs() < 0.015, "{all:?}");
        }
        let hot = shares(&logits, &SamplingParams { temperature: 2.0, ..Default::default() });
        let total: f64 = probabilities.iter().map(|p| f64::from(p.sqrt())).sum();
        assert!((hot[0] - f64::from(0.5_f32.sqrt()) / total).abs() < 0.015, "{hot:?}");
    }

    #[test]
    fn truncations_keep_what_they_should() {
        let logits = [0.5_f32, 0.1, 0.25, 0.15].map(f32::ln);
        let kept = |params: SamplingParams| -> Vec<usize> {
            let shares = shares(&logits, &params);
            (0..4).filter(|i| shares[*i] > 0.0).collect()
        };
        assert_eq!(kept(SamplingParams { top_k: 2, ..Default::default() }), [0, 2]);
        assert_eq!(kept(SamplingParams { top_k: 1, ..Default::default() }), [0]);
        assert_eq!(kept(SamplingParams { top_p: 0.6, ..Default::default() }), [0, 2]);
        assert_eq!(kept(SamplingParams { top_p: 0.01, ..Default::default() }), [0]);
        assert_eq!(kept(SamplingParams { top_p: 0.8, ..Default::default() }), [0, 2, 3]);
        assert_eq!(kept(SamplingParams { min_p: 0.29, ..Default::default() }), [0, 2, 3]);
        assert_eq!(kept(SamplingParams { min_p: 0.6, ..Default::default() }), [0]);
    }

    #[test]
    fn a_wide_nucleus_ranks_as_many_as_it_needs() {
        let mut flat: Vec<(TokenId, f32)> = (0..1000).map(|i| (i, 1.0)).collect();
        keep_nucleus(&mut flat, 0.9);
        let ids: Vec<_> = flat.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, (0..900).collect::<Vec<_>>());
    }

    #[test]
    fn uniform_is_even_and_depends_on_both() {
        let mean: f64 = (0..10_000).map(|i| uniform(1, i)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert_ne!(uniform(1, 0), uniform(2, 0));
        assert_ne!(uniform(1, 0), uniform(1, 1));
    }
}
