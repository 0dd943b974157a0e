//! An overview of one row of logits, from which the greatest are found without sorting the row.
//!
//! The k-th greatest of the blocks' maxima is no greater than the k-th greatest logit, so only
//! blocks that reach it can hold one of the k greatest logits.
//! Invariant: what is found is what sorting the whole row by [`by_rank`] would give.

use engine_core::TokenId;
use kernels::select::{BLOCK, block_exp_sums, block_maxima};

use super::{NotFinite, by_rank};

/// The overview, and memory for what is made of it; reused from row to row.
#[derive(Default)]
pub(super) struct Survey {
    /// The greatest logit.
    pub(super) max: f32,
    maxima: Vec<f32>,
    /// Scratch of [`top`](Self::top).
    ordered: Vec<f32>,
    sums: Vec<f32>,
    /// Found tokens with their logits, by [`by_rank`] where a method says so.
    pub(super) found: Vec<(TokenId, f32)>,
    /// The weight of each found token.
    pub(super) weights: Vec<f32>,
}

impl Survey {
    /// Looks over a row.
    ///
    /// # Errors
    /// [`NotFinite`] if there is a NaN, or no finite logit at all.
    pub(super) fn take(&mut self, logits: &[f32]) -> Result<(), NotFinite> {
        self.maxima.resize(logits.len().div_ceil(BLOCK), f32::NEG_INFINITY);
        let all_numbers = block_maxima(logits, &mut self.maxima);
        self.max = self.maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if all_numbers && self.max.is_finite() { Ok(()) } else { Err(NotFinite) }
    }

    /// The most likely token; of equals the first.
    pub(super) fn argmax(&self, logits: &[f32]) -> TokenId {
        let block = self.maxima.iter().position(|max| *max == self.max).unwrap_or(0);
        let start = (block * BLOCK).min(logits.len());
        let at = logits[start..].iter().position(|logit| *logit == self.max).unwrap_or(0);
        // A vocabulary has fewer than 2³² tokens.
        (start + at) as TokenId
    }

    /// Finds the `k` most likely tokens in order, fewer if fewer have a logit above −∞.
    pub(super) fn top(&mut self, logits: &[f32], k: usize) {
        if k == 0 {
            return self.found.clear();
        }
        let mut least = f32::NEG_INFINITY;
        if k < self.maxima.len() {
            self.ordered.clone_from(&self.maxima);
            let (_, kth, _) = self.ordered.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
            least = *kth;
        }
        self.at_least(logits, least);
        if k < self.found.len() {
            self.found.select_nth_unstable_by(k - 1, by_rank);
            self.found.truncate(k);
        }
        self.found.sort_unstable_by(by_rank);
    }

    /// Finds the tokens whose logits are `least` or more, and above −∞, by rising id.
    pub(super) fn at_least(&mut self, logits: &[f32], least: f32) {
        let Self { maxima, found, .. } = self;
        found.clear();
        let blocks = maxima.iter().zip(logits.chunks(BLOCK)).zip((0..).step_by(BLOCK));
        for ((max, block), first) in blocks {
            if *max >= least {
                let is_found =
                    |(_, logit): &(TokenId, f32)| *logit >= least && *logit > f32::NEG_INFINITY;
                found.extend((first..).zip(block.iter().copied()).filter(is_found));
            }
        }
    }

    /// Makes weights `exp((logit − max) · scale)` of what was found; their sum.
    pub(super) fn weigh(&mut self, scale: f32) -> f64 {
        self.weights.clear();
        self.weights.extend(self.found.iter().map(|(_, logit)| *logit));
        kernels::select::exp_of_each(&mut self.weights, self.max, scale);
        self.weights.iter().copied().map(f64::from).sum()
    }

    /// `Σ exp((logit − max) · scale)` over the whole row.
    pub(super) fn exp_sum(&mut self, logits: &[f32], scale: f32) -> f64 {
        self.sums.resize(self.maxima.len(), 0.0);
        block_exp_sums(logits, self.max, scale, &mut self.sums);
        self.sums.iter().copied().map(f64::from).sum()
    }

    /// The block in which the cumulative [`exp_sum`](Self::exp_sum) passes `goal`, and what of
    /// `goal` is left at its start. Call it after that.
    pub(super) fn block_at(&self, mut goal: f64) -> (std::ops::Range<usize>, f64) {
        let mut last = (0, goal);
        for (block, sum) in self.sums.iter().enumerate().filter(|(_, sum)| **sum > 0.0) {
            last = (block, goal);
            goal -= f64::from(*sum);
            if goal < 0.0 {
                break;
            }
        }
        // Where rounding leaves a crumb, the last block with any weight takes it.
        (last.0 * BLOCK..(last.0 + 1) * BLOCK, last.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits with ties, holes and more than one block.
    fn row(len: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                match state >> 60 {
                    0 => f32::NEG_INFINITY,
                    1 => 3.0,
                    _ => (state >> 40) as f32 * 1e-6 - 8.0,
                }
            })
            .collect()
    }

    fn sorted(logits: &[f32]) -> Vec<(TokenId, f32)> {
        let mut all: Vec<_> = (0..).zip(logits.iter().copied()).collect();
        all.retain(|(_, logit)| *logit > f32::NEG_INFINITY);
        all.sort_by(by_rank);
        all
    }

    #[test]
    fn what_is_found_is_what_sorting_gives() {
        let mut survey = Survey::default();
        for (len, seed) in [(1, 1), (63, 2), (64, 3), (65, 4), (1000, 5), (49_152, 6)] {
            let logits = row(len, seed);
            let sorted = sorted(&logits);
            if survey.take(&logits).is_err() {
                assert!(sorted.is_empty());
                continue;
            }
            assert_eq!((survey.argmax(&logits), survey.max), sorted[0]);
            for k in [0, 1, 2, 15, 16, 40, 64, 700, 768, 5000, len, len + 1] {
                survey.top(&logits, k);
                assert_eq!(survey.found, sorted[..k.min(sorted.len())], "{k} of {len}");
            }
            for least in [f32::NEG_INFINITY, -1.0, 3.0, 100.0] {
                survey.at_least(&logits, least);
                survey.found.sort_by(by_rank);
                let num = sorted.partition_point(|(_, logit)| *logit >= least);
                assert_eq!(survey.found, sorted[..num], "{least} of {len}");
            }
        }
    }

    #[test]
    fn few_numbers_among_infinities_are_found() {
        let mut logits = vec![f32::NEG_INFINITY; 1000];
        logits[700] = -5.0;
        let mut survey = Survey::default();
        assert_eq!(survey.take(&logits), Ok(()));
        survey.top(&logits, 10);
        assert_eq!((survey.found.as_slice(), survey.argmax(&logits)), (&[(700, -5.0)][..], 700));
        let total = survey.exp_sum(&logits, 1.0);
        assert_eq!((total, survey.block_at(0.999)), (1.0, (640..704, 0.999)));
        assert_eq!(survey.block_at(1.5).0, 640..704, "a crumb");
        logits[3] = f32::NAN;
        assert_eq!(survey.take(&logits), Err(NotFinite));
    }
}
