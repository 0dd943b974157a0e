//! What was measured, and what follows from it: each peer's best variant, medians, ratios.
//!
//! Invariant: a variant is chosen by the sweep alone, and a median is of the pairs alone.

use loadtests::median;
use serde::{Deserialize, Serialize};

use super::variant::{Contender, Variant};
use super::work::{Figures, Reach, Row, Section, Work};

/// Who is so many times worse than the best of the sweep is out of the running: more than chance
/// makes of two measurements.
pub(super) const FAR: f64 = 1.6;

/// One measurement and what it gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sample {
    pub(super) section: Section,
    pub(super) contender: Contender,
    pub(super) variant: Variant,
    pub(super) work: Work,
    /// Its turn; none in the sweep over variants.
    pub(super) pair: Option<usize>,
    /// Empty when it failed.
    pub(super) figures: Figures,
}

/// All of a run, and what the sweep that it goes by gave.
#[derive(Debug, Default, Serialize)]
pub(super) struct Samples(pub(super) Vec<Sample>);

impl Samples {
    /// The swept variants of a contender at a work with the value of a row's figure, best first.
    pub(super) fn ranking(
        &self,
        section: Section,
        contender: Contender,
        row: &Row,
    ) -> Vec<(&Variant, f64)> {
        let of_sweep = |sample: &&Sample| {
            sample.pair.is_none()
                && sample.section == section
                && sample.contender == contender
                && sample.work == row.work
        };
        let mut ranking: Vec<(&Variant, f64)> = self
            .0
            .iter()
            .filter(of_sweep)
            .filter_map(|sample| Some((&sample.variant, *sample.figures.get(&row.figure)?)))
            .collect();
        ranking.sort_by(|a, b| match row.reach {
            Reach::AtLeast(_) => b.1.total_cmp(&a.1),
            Reach::AtMost(_) => a.1.total_cmp(&b.1),
        });
        ranking
    }

    /// The labels of what failed of a work, in the sweep or in the pairs.
    pub(super) fn failed(&self, section: Section, contender: Contender, work: Work) -> Vec<String> {
        let failed = |sample: &&Sample| {
            sample.figures.is_empty()
                && sample.section == section
                && sample.contender == contender
                && sample.work == work
        };
        self.0.iter().filter(failed).map(|sample| sample.variant.label(contender)).collect()
    }

    /// The variant that a contender runs a row with. Ours is measured as it comes.
    pub(super) fn chosen(
        &self,
        section: Section,
        contender: Contender,
        row: &Row,
    ) -> Option<Variant> {
        if contender == Contender::Ours {
            return contender.variants(section).into_iter().next();
        }
        Some(self.ranking(section, contender, row).first()?.0.clone())
    }

    /// What a contender's chosen variant gave in the sweep.
    pub(super) fn swept(&self, section: Section, contender: Contender, row: &Row) -> Option<f64> {
        Some(self.ranking(section, contender, row).first()?.1)
    }

    /// Whether a contender may be the best of the peers: one that was far from it in the sweep
    /// does not run in the pairs. Ours always does.
    pub(super) fn contends(&self, section: Section, contender: Contender, row: &Row) -> bool {
        let swept = |peer: &Contender| self.swept(section, *peer, row);
        let Some(own) = swept(&contender) else { return contender == Contender::Ours };
        Contender::peers(section).iter().filter_map(swept).all(|other| match row.reach {
            Reach::AtLeast(_) => own * FAR > other,
            Reach::AtMost(_) => own < other * FAR,
        })
    }

    /// The median over the pairs of a contender with its chosen variant.
    pub(super) fn median(&self, section: Section, contender: Contender, row: &Row) -> Option<f64> {
        let variant = self.chosen(section, contender, row)?;
        let of_pairs = |sample: &&Sample| {
            sample.pair.is_some()
                && sample.section == section
                && sample.contender == contender
                && sample.work == row.work
                && sample.variant == variant
        };
        let values = self.0.iter().filter(of_pairs);
        median(&values.filter_map(|s| s.figures.get(&row.figure).copied()).collect::<Vec<_>>())
    }

    /// The best median of the peers.
    pub(super) fn best_peer(&self, section: Section, row: &Row) -> Option<(Contender, f64)> {
        let medians = Contender::peers(section)
            .iter()
            .filter_map(|peer| Some((*peer, self.median(section, *peer, row)?)));
        medians.reduce(|best, next| if row.reach.prefers(next.1, best.1) { next } else { best })
    }

    /// How many pairs there were.
    pub(super) fn num_pairs(&self) -> usize {
        self.0.iter().filter_map(|sample| sample.pair).max().map_or(0, |last| last + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Sample, Samples};
    use crate::bench::cpu::variant::{Contender, Variant, Weights};
    use crate::bench::cpu::work::{Figure, Section};

    fn sample(
        contender: Contender,
        weights: Weights,
        pair: Option<usize>,
        (rate, ttft): (f64, f64),
    ) -> Sample {
        let rows = Section::Q4.rows(false);
        let serve = rows.iter().find(|row| row.figure == Figure::FirstTokenP99Ms).unwrap();
        Sample {
            section: Section::Q4,
            contender,
            variant: Variant::plain(weights),
            work: serve.work,
            pair,
            figures: [(Figure::TokensPerS, rate), (Figure::FirstTokenP99Ms, ttft)].into(),
        }
    }

    #[test]
    fn the_sweep_chooses_and_the_pairs_count() {
        let samples = Samples(vec![
            sample(Contender::LlamaCpp, Weights::Q4_1, None, (100.0, 50.0)),
            sample(Contender::LlamaCpp, Weights::Q8_0, None, (90.0, 40.0)),
            sample(Contender::LlamaCpp, Weights::Q4_1, Some(0), (80.0, 60.0)),
            sample(Contender::LlamaCpp, Weights::Q4_1, Some(1), (84.0, 60.0)),
            sample(Contender::LlamaCpp, Weights::Q8_0, Some(0), (999.0, 30.0)),
            sample(Contender::IkLlamaCpp, Weights::Q4_1, None, (70.0, 55.0)),
            sample(Contender::IkLlamaCpp, Weights::Q4_1, Some(0), (90.0, 55.0)),
            sample(Contender::Ours, Weights::Q4_1, Some(0), (1e3, 9.0)),
        ]);
        let rows = Section::Q4.rows(false);
        let rate = rows.iter().find(|row| row.title.starts_with("HTTP")).unwrap();
        let ttft = rows.iter().find(|row| row.figure == Figure::FirstTokenP99Ms).unwrap();
        let median = |who, row| samples.median(Section::Q4, who, row);
        assert_eq!(median(Contender::LlamaCpp, rate), Some(82.0));
        assert_eq!(median(Contender::LlamaCpp, ttft), Some(30.0));
        assert_eq!(median(Contender::Ours, rate), Some(1e3));
        assert_eq!(median(Contender::OpenVino, rate), None);
        let best = |row| samples.best_peer(Section::Q4, row);
        assert_eq!(best(rate), Some((Contender::IkLlamaCpp, 90.0)));
        assert_eq!(best(ttft), Some((Contender::LlamaCpp, 30.0)));
        assert_eq!(samples.num_pairs(), 2);
        let contends = |who| samples.contends(Section::Q4, who, rate);
        assert!(contends(Contender::Ours) && contends(Contender::IkLlamaCpp));
        let mut samples = samples;
        samples.0[5].figures = [(Figure::TokensPerS, 60.0)].into();
        assert!(!samples.contends(Section::Q4, Contender::IkLlamaCpp, rate));
        assert!(samples.contends(Section::Q4, Contender::LlamaCpp, rate));
        assert!(!samples.contends(Section::Q4, Contender::OpenVino, rate), "it has no figure");
    }
}
