//! Log-probabilities of the plain distribution.

use engine_core::{TokenId, TokenLogprobs};

use super::by_rank;

/// The log-probability of `token` under `softmax(logits)`, and the `num_top` most likely tokens.
///
/// A token outside the vocabulary has log-probability −∞.
pub fn token_logprobs(logits: &[f32], token: TokenId, num_top: u32) -> TokenLogprobs {
    let max = kernels::exp::max(logits);
    let total: f64 = logits.iter().map(|x| f64::from((x - max).exp())).sum();
    let log_total = total.ln() as f32;
    let logprob = |logit: f32| logit - max - log_total;
    let mut top: Vec<(TokenId, f32)> = (0..).zip(logits.iter().copied()).collect();
    let num_top = (num_top as usize).min(top.len());
    if num_top > 0 {
        top.select_nth_unstable_by(num_top - 1, by_rank);
    }
    top.truncate(num_top);
    top.sort_unstable_by(by_rank);
    top.iter_mut().for_each(|(_, logit)| *logit = logprob(*logit));
    let own = logits.get(token as usize).map_or(f32::NEG_INFINITY, |logit| logprob(*logit));
    TokenLogprobs { token, logprob: own, top }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_softmax() {
        let logits = [0.1_f32, 0.6, 0.05, 0.25].map(|p| p.ln() + 3.0);
        let got = token_logprobs(&logits, 3, 2);
        assert!((got.logprob - 0.25_f32.ln()).abs() < 1e-6);
        let ids: Vec<_> = got.top.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [1, 3]);
        assert!((got.top[0].1 - 0.6_f32.ln()).abs() < 1e-6);
        assert!(token_logprobs(&logits, 0, 0).top.is_empty());
        assert_eq!(token_logprobs(&logits, 0, 99).top.len(), 4);
    }
}
