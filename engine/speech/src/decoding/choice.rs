//! Which token comes, of those that may.
//!
//! Invariant: a logit of negative infinity never does.

use rand::{Rng, rngs::StdRng};

/// The logarithm of the sum of exponentials; negative infinity of nothing.
pub(super) fn log_sum_exp(logits: &[f32]) -> f32 {
    let most = max(logits);
    if most == f32::NEG_INFINITY {
        return most;
    }
    let sum: f64 = logits.iter().map(|x| f64::from(*x - most).exp()).sum();
    (f64::from(most) + sum.ln()) as f32
}

pub(super) fn max(logits: &[f32]) -> f32 {
    logits.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// The probability of one of all.
pub(super) fn softmax_of(logits: &[f32], index: usize) -> f32 {
    (logits[index] - log_sum_exp(logits)).exp()
}

/// The likeliest of some; the first of several that are.
pub(crate) fn argmax_of(logits: &[f32], of: impl Iterator<Item = usize>) -> Option<usize> {
    let better = |best: Option<usize>, index: usize| match best {
        Some(best) if logits[best] >= logits[index] => Some(best),
        _ => Some(index),
    };
    of.fold(None, better)
}

/// The place of a token and the logarithm of its probability; `None` if none may come, or what
/// came out of the model is no numbers.
pub(super) fn choose(logits: &[f32], temperature: f32, rng: &mut StdRng) -> Option<(usize, f32)> {
    let all = log_sum_exp(logits);
    if !all.is_finite() {
        return None;
    }
    let index = if temperature > 0.0 {
        draw(logits, temperature, rng)
    } else {
        argmax_of(logits, 0..logits.len())?
    };
    Some((index, logits[index] - all))
}

/// One by its probability; `logits` has a largest one.
fn draw(logits: &[f32], temperature: f32, rng: &mut StdRng) -> usize {
    let most = max(logits);
    let weight = |x: f32| f64::from((x - most) / temperature).exp();
    let total: f64 = logits.iter().map(|x| weight(*x)).sum();
    let mut left = rng.random::<f64>() * total;
    let mut last = 0;
    for (index, x) in logits.iter().enumerate() {
        let weight = weight(*x);
        if weight > 0.0 {
            last = index;
            left -= weight;
            if left <= 0.0 {
                break;
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const NONE: f32 = f32::NEG_INFINITY;

    #[test]
    fn the_likeliest_comes_with_its_probability() {
        let mut rng = StdRng::seed_from_u64(0);
        let (index, logprob) = choose(&[0.0, 1.0, NONE, 1.0], 0.0, &mut rng).unwrap();
        assert_eq!(index, 1);
        let want = (1.0_f32.exp() / (1.0 + 2.0 * 1.0_f32.exp())).ln();
        assert!((logprob - want).abs() < 1e-6, "{logprob} {want}");
        assert_eq!(choose(&[NONE, NONE], 0.0, &mut rng), None);
        assert_eq!(choose(&[f32::NAN, 0.0], 0.0, &mut rng), None);
    }

    #[test]
    fn draws_are_by_probability_and_never_of_what_may_not_come() {
        let mut rng = StdRng::seed_from_u64(1);
        let logits = [0.0, NONE, 2.0_f32.ln(), NONE];
        let mut counts = [0; 4];
        for _ in 0..3000 {
            counts[choose(&logits, 1.0, &mut rng).unwrap().0] += 1;
        }
        assert_eq!((counts[1], counts[3]), (0, 0));
        assert!((900..1100).contains(&counts[0]), "{counts:?}");
    }
}
