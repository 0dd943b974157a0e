//! What was measured, and what follows from it: each peer's best variant, medians, ratios.
//!
//! Invariant: a variant is chosen by the sweep alone, a median is of the pairs alone, and nobody
//! whose embeddings are another model's is the best.

use loadtests::median;
use serde::Serialize;

use super::contend::{Contender, Seen, Variant};
use super::work::{LEAST_COSINE, Work};

/// One measurement and what it gave.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sample {
    pub(super) contender: Contender,
    pub(super) variant: Variant,
    pub(super) work: Work,
    /// Its turn; none in the sweep over variants.
    pub(super) pair: Option<usize>,
    /// Nothing when it failed.
    pub(super) seen: Option<Seen>,
}

/// All of a run.
#[derive(Debug, Default, Serialize)]
pub(super) struct Samples(pub(super) Vec<Sample>);

/// Whether embeddings are the model's.
pub(super) fn is_right(seen: &Seen) -> bool {
    seen.cosine >= LEAST_COSINE
}

impl Samples {
    fn of(&self, contender: Contender, work: Work) -> impl Iterator<Item = &Sample> {
        let is_of = move |s: &&Sample| s.contender == contender && s.work == work;
        self.0.iter().filter(is_of)
    }

    /// The swept variants of a contender at a work, best first, and those that failed.
    pub(super) fn ranking(&self, contender: Contender, work: Work) -> Vec<(Variant, Option<Seen>)> {
        let swept = self.of(contender, work).filter(|sample| sample.pair.is_none());
        let mut ranking: Vec<_> = swept.map(|sample| (sample.variant, sample.seen)).collect();
        let rate = |seen: Option<Seen>| seen.map_or(0.0, |seen| seen.tokens_per_s);
        ranking.sort_by(|a, b| rate(b.1).total_cmp(&rate(a.1)));
        ranking
    }

    /// The variant that a contender runs in the pairs: of those with the model's embeddings the
    /// fastest, or of all if none has them. Ours is measured as it comes.
    pub(super) fn chosen(&self, contender: Contender, work: Work) -> Option<Variant> {
        if contender == Contender::Ours {
            return Some(Variant::PLAIN);
        }
        let ranking = self.ranking(contender, work);
        let right = ranking.iter().find(|(_, seen)| seen.as_ref().is_some_and(is_right));
        let any = ranking.iter().find(|(_, seen)| seen.is_some());
        right.or(any).map(|(variant, _)| *variant)
    }

    /// The median rate over the pairs, and the least cosine.
    pub(super) fn median(&self, contender: Contender, work: Work) -> Option<Seen> {
        let of_pairs = self.of(contender, work).filter(|sample| sample.pair.is_some());
        let seen: Vec<Seen> = of_pairs.filter_map(|sample| sample.seen).collect();
        let tokens_per_s = median(&seen.iter().map(|seen| seen.tokens_per_s).collect::<Vec<_>>())?;
        let cosine = seen.iter().map(|seen| seen.cosine).fold(1.0, f64::min);
        Some(Seen { tokens_per_s, cosine })
    }

    /// The best median of the peers.
    pub(super) fn best_peer(&self, work: Work) -> Option<f64> {
        let medians = Contender::PEERS.iter().filter_map(|peer| self.median(*peer, work));
        medians.filter(is_right).map(|seen| seen.tokens_per_s).reduce(f64::max)
    }

    /// Ours by the best of the peers; none where ours is not right.
    pub(super) fn ratio(&self, work: Work) -> Option<f64> {
        let ours = self.median(Contender::Ours, work).filter(is_right)?;
        Some(ours.tokens_per_s / self.best_peer(work)?)
    }

    /// How many pairs there were.
    pub(super) fn num_pairs(&self) -> usize {
        self.0.iter().filter_map(|sample| sample.pair).max().map_or(0, |last| last + 1)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Sample, Samples};
    use crate::bench::embeddings::contend::{Contender, Seen, Variant};
    use crate::bench::embeddings::work::WORKS;

    pub(in crate::bench::embeddings) fn sample(
        contender: Contender,
        variant: usize,
        pair: Option<usize>,
        (tokens_per_s, cosine): (f64, f64),
    ) -> Sample {
        let variant = contender.variants(WORKS[1], 2)[variant];
        let seen = (tokens_per_s > 0.0).then_some(Seen { tokens_per_s, cosine });
        Sample { contender, variant, work: WORKS[1], pair, seen }
    }

    #[test]
    fn the_sweep_chooses_the_pairs_count_and_wrong_embeddings_do_not() {
        use Contender::{OnnxRuntime, OpenVinoBf16, OpenVinoF32, Ours};
        let samples = Samples(vec![
            sample(OnnxRuntime, 0, None, (10.0, 1.0)),
            sample(OnnxRuntime, 1, None, (20.0, 0.99)),
            sample(OnnxRuntime, 2, None, (15.0, 1.0)),
            sample(OnnxRuntime, 3, None, (0.0, 1.0)),
            sample(OpenVinoBf16, 0, None, (90.0, 0.999)),
            sample(OnnxRuntime, 2, Some(0), (14.0, 1.0)),
            sample(OnnxRuntime, 2, Some(1), (16.0, 0.99995)),
            sample(OpenVinoBf16, 0, Some(0), (95.0, 0.999)),
            sample(Ours, 0, Some(0), (30.0, 0.99999)),
            sample(Ours, 0, Some(1), (60.0, 0.99998)),
        ]);
        let work = WORKS[1];
        let variant = |idx: usize| OnnxRuntime.variants(work, 2)[idx];
        assert_eq!(samples.chosen(OnnxRuntime, work), Some(variant(2)));
        assert_eq!(samples.chosen(OpenVinoF32, work), None);
        assert_eq!(samples.chosen(Ours, work), Some(Variant::PLAIN));
        let seen = Seen { tokens_per_s: 15.0, cosine: 0.99995 };
        assert_eq!(samples.median(OnnxRuntime, work), Some(seen));
        assert_eq!(samples.best_peer(work), Some(15.0));
        assert_eq!(samples.ratio(work), Some(3.0));
        assert_eq!(samples.num_pairs(), 2);
        assert_eq!(samples.ratio(WORKS[0]), None);
        let mut samples = samples;
        samples.0[9].seen = Some(Seen { tokens_per_s: 60.0, cosine: 0.9 });
        assert_eq!(samples.ratio(work), None, "ours is wrong");
    }
}
