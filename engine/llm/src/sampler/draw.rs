//! Truncation of the distribution and the draw itself.

use engine_core::{SamplingParams, TokenId};

use super::survey::Survey;

/// How many tokens are ranked at first; more only if `top_p` asks for them.
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
/// inverse of the cumulative distribution at `u`. `survey` is of these logits.
pub(super) fn draw(
    survey: &mut Survey,
    logits: &[f32],
    params: &SamplingParams,
    u: f64,
) -> TokenId {
    let scale = 1.0 / params.temperature;
    // In the exponent's terms, p ≥ min_p · p_max is l ≥ l_max + T · ln min_p.
    let floor = if params.min_p > 0.0 {
        survey.max + params.temperature * params.min_p.min(1.0).ln()
    } else {
        f32::NEG_INFINITY
    };
    let total = if params.top_k > 0 {
        survey.top(logits, params.top_k as usize);
        let num_likely = survey.found.partition_point(|(_, logit)| *logit >= floor);
        survey.found.truncate(num_likely);
        survey.weigh(scale)
    } else if floor > f32::NEG_INFINITY {
        survey.at_least(logits, floor);
        if params.top_p < 1.0 {
            survey.found.sort_unstable_by(super::by_rank);
        }
        survey.weigh(scale)
    } else {
        let total = survey.exp_sum(logits, scale);
        if params.top_p >= 1.0 {
            return draw_from_all(survey, logits, scale, u * total);
        }
        let goal = total * f64::from(params.top_p);
        let mut num_ranked = FIRST_RANKED;
        loop {
            survey.top(logits, num_ranked);
            if survey.weigh(scale) >= goal || survey.found.len() < num_ranked {
                break total;
            }
            num_ranked *= 4;
        }
    };
    let total = if params.top_p < 1.0 { keep_nucleus(survey, params.top_p, total) } else { total };
    drawn(&survey.found, &survey.weights, u * total)
}

/// Draws by rising id from all tokens.
fn draw_from_all(survey: &mut Survey, logits: &[f32], scale: f32, goal: f64) -> TokenId {
    let (tokens, goal) = survey.block_at(goal);
    survey.found.clear();
    let block = logits.iter().copied().enumerate().take(tokens.end).skip(tokens.start);
    survey.found.extend(block.map(|(id, logit)| (id as TokenId, logit)));
    survey.weigh(scale);
    drawn(&survey.found, &survey.weights, goal)
}

/// The token at which the cumulative weight passes `goal`.
fn drawn(found: &[(TokenId, f32)], weights: &[f32], goal: f64) -> TokenId {
    let mut left = goal;
    let mut last = 0;
    for ((token, _), weight) in found.iter().zip(weights).filter(|(_, weight)| **weight > 0.0) {
        last = *token;
        left -= f64::from(*weight);
        if left < 0.0 {
            break;
        }
    }
    // Rounding may leave a crumb; the last token with any weight takes it.
    last
}

/// Keeps the fewest of the ranked tokens whose weights reach the share `top_p` of `total`, at
/// least one; the sum of their weights.
fn keep_nucleus(survey: &mut Survey, top_p: f32, total: f64) -> f64 {
    let goal = total * f64::from(top_p);
    let mut reached = 0.0;
    for (i, weight) in survey.weights.iter().enumerate() {
        reached += f64::from(*weight);
        if reached >= goal {
            survey.found.truncate(i + 1);
            survey.weights.truncate(i + 1);
            break;
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::by_rank;

    fn draw(logits: &[f32], params: &SamplingParams, u: f64) -> TokenId {
        let mut survey = Survey::default();
        survey.take(logits).expect("finite");
        super::draw(&mut survey, logits, params, u)
    }

    /// The same by sorting everything.
    fn plain(logits: &[f32], params: &SamplingParams, u: f64) -> TokenId {
        let mut all: Vec<(TokenId, f32)> = (0..).zip(logits.iter().copied()).collect();
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let scale = 1.0 / params.temperature;
        let ranked = params.top_k > 0 || params.top_p < 1.0;
        if ranked {
            all.sort_by(by_rank);
        }
        if params.top_k > 0 {
            all.truncate(params.top_k as usize);
        }
        let weight = |logit: f32| f64::from(kernels::exp::exp((logit - max) * scale));
        if params.min_p > 0.0 {
            let floor = max + params.temperature * params.min_p.ln();
            all.retain(|(_, logit)| *logit >= floor);
        }
        let total: f64 = all.iter().map(|(_, logit)| weight(*logit)).sum();
        if params.top_p < 1.0 {
            let mut reached = 0.0;
            let passes = |(_, logit): &(TokenId, f32)| {
                reached += weight(*logit);
                reached >= total * f64::from(params.top_p)
            };
            let end = all.iter().position(passes).map_or(all.len(), |at| at + 1);
            all.truncate(end);
        }
        let kept: f64 = all.iter().map(|(_, logit)| weight(*logit)).sum();
        let mut left = u * kept;
        let passes = |(_, logit): &&(TokenId, f32)| {
            left -= weight(*logit);
            left < 0.0
        };
        all.iter().find(passes).or(all.last()).expect("a token").0
    }

    #[test]
    fn draws_are_those_of_the_plain_sort() {
        let params = |temperature, top_k, top_p, min_p| SamplingParams {
            temperature,
            top_k,
            top_p,
            min_p,
            ..Default::default()
        };
        for (len, spread) in [(10, 1.0_f32), (200, 3.0), (5000, 0.1), (20_000, 6.0)] {
            // Coarse, so that there are ties.
            let noise = |i: u32| ((uniform(5, i) * 64.0).floor() as f32 / 64.0) * spread;
            let logits: Vec<f32> = (0..len).map(noise).collect();
            for params in [
                params(1.0, 0, 1.0, 0.0),
                params(0.7, 0, 0.9, 0.0),
                params(1.3, 0, 0.999, 0.0),
                params(0.8, 40, 1.0, 0.0),
                params(0.8, 40, 0.9, 0.05),
                params(1.0, 0, 1.0, 0.1),
                params(1.0, 0, 0.5, 0.01),
                params(2.0, 1000, 0.95, 0.0),
            ] {
                for i in 0..50 {
                    let u = uniform(77, i);
                    let (ours, theirs) = (draw(&logits, &params, u), plain(&logits, &params, u));
                    assert_eq!(ours, theirs, "{len} {params:?} {u}");
                }
            }
        }
    }

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
        let flat = [1.0; 1000];
        let mut survey = Survey::default();
        survey.take(&flat).expect("finite");
        let params = SamplingParams { top_p: 0.9, ..Default::default() };
        assert_eq!(super::draw(&mut survey, &flat, &params, 0.9999), 899);
        let ids: Vec<_> = survey.found.iter().map(|(id, _)| *id).collect();
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
