//! Log-probabilities of the plain distribution.

use engine_core::{TokenId, TokenLogprobs};

use super::SURVEY;

/// The log-probability of `token` under `softmax(logits)`, and the `num_top` most likely tokens.
///
/// A token outside the vocabulary has log-probability −∞.
pub fn token_logprobs(logits: &[f32], token: TokenId, num_top: u32) -> TokenLogprobs {
    SURVEY.with_borrow_mut(|survey| {
        // What is not finite was refused before; of such a row every answer is as good.
        let _ = survey.take(logits);
        let log_total = survey.exp_sum(logits, 1.0).ln() as f32;
        survey.top(logits, num_top as usize);
        let logprob = |logit: f32| logit - survey.max - log_total;
        let own = logits.get(token as usize).map_or(f32::NEG_INFINITY, |logit| logprob(*logit));
        let top = survey.found.iter().map(|(id, logit)| (*id, logprob(*logit))).collect();
        TokenLogprobs { token, logprob: own, top }
    })
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
