//! The results as people and as programs read them.
//!
//! Invariant: a table names machine, command and commit; every variant that was tried is below it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use super::limits::{Limits, Share, shares};
use super::samples::{FAR, Samples};
use super::variant::Contender;
use super::work::{Reach, Row, Section};
use crate::bench::machine::{Machine, number};

/// Everything about one benchmark.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    machine: Machine,
    sections: Vec<Section>,
    quick: bool,
    limits: Limits,
    shares: Vec<Share>,
    samples: Samples,
}

impl Report {
    pub(super) fn new(
        sections: Vec<Section>,
        quick: bool,
        samples: Samples,
        limits: Limits,
    ) -> Self {
        let shares = shares(&samples, &limits);
        Self { machine: Machine::here(), sections, quick, limits, shares, samples }
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = format!(
            "# CPU, {}\n\n{}\nMedians of {} runs in turn. In brackets what a peer gave in the \
             sweep over variants: {FAR} times worse\nthan the best, it ran in no pairs.\n",
            self.machine.date,
            self.machine.line(),
            self.samples.num_pairs(),
        );
        for &section in &self.sections {
            text.push_str(&self.table(section));
        }
        text.push_str(&self.limits());
        for &section in &self.sections {
            text.push_str(&self.variants(section));
        }
        text
    }

    fn table(&self, section: Section) -> String {
        let peers = Contender::peers(section);
        let names: Vec<&str> = peers.iter().map(|peer| peer.name()).collect();
        let mut text = format!(
            "\n## {}\n\n| work | agentbase | {} | ratio to the best | reach | met |\n|---|{}\n",
            section.title(),
            names.join(" | "),
            "---:|".repeat(peers.len() + 4),
        );
        for row in section.rows(self.quick) {
            text.push_str(&self.row(section, &row));
        }
        text
    }

    fn row(&self, section: Section, row: &Row) -> String {
        let ours = self.samples.median(section, Contender::Ours, row);
        let mut cells = vec![row.title.to_owned(), cell(ours)];
        cells.extend(Contender::peers(section).iter().map(|peer| self.peer(section, *peer, row)));
        let best = self.samples.best_peer(section, row).map(|(_, value)| value);
        let ratio = ours.zip(best).map(|(ours, best)| ours / best);
        cells.push(ratio.map_or_else(none, |ratio| format!("{ratio:.2}")));
        cells.push(row.reach.to_string());
        cells.push(ratio.map_or_else(none, |ratio| met(row.reach, ratio)));
        format!("| {} |\n", cells.join(" | "))
    }

    /// A median of the pairs, or in brackets what the sweep gave one that was out of the running.
    fn peer(&self, section: Section, peer: Contender, row: &Row) -> String {
        let swept = || self.samples.swept(section, peer, row);
        match self.samples.median(section, peer, row) {
            Some(median) => number(median),
            None => swept().map_or_else(none, |swept| format!("({})", number(swept))),
        }
    }

    fn limits(&self) -> String {
        let limits = &self.limits;
        let mut text = "\n## Limits\n\n| of this machine | measured |\n|---|---:|\n".to_owned();
        for (name, value) in [
            ("8-bit integer products, 1 thread, Gop/s", limits.int8_gops_1t),
            ("16-bit integer products, 1 thread, Gop/s", limits.int16_gops_1t),
            ("BF16 products, 1 thread, GFLOP/s", limits.bf16_gflops_1t),
            ("F32 FMA, 1 thread, GFLOP/s", limits.f32_gflops_1t),
            ("reading 100 MB, 1 thread, GB/s", limits.read_100mb_gbs_1t),
            ("reading 100 MB, 2 threads, GB/s", limits.read_100mb_gbs_2t),
            ("reading 1 GB, 1 thread, GB/s", limits.read_1gb_gbs_1t),
            ("reading 1 GB, 2 threads, GB/s", limits.read_1gb_gbs_2t),
        ] {
            text.push_str(&format!("| {name} | {} |\n", cell(value)));
        }
        if !self.shares.is_empty() {
            text.push_str("\n| ours | share | reach | met | counted |\n|---|---:|---:|---:|---|\n");
        }
        for Share { name, share, reach, count } in &self.shares {
            let met = reach.map_or_else(none, |reach| met(reach, *share));
            let reach = reach.map_or_else(none, |reach| reach.to_string());
            text.push_str(&format!("| {name} | {share:.2} | {reach} | {met} | {count} |\n"));
        }
        text
    }

    /// All that the sweep tried, best first.
    fn variants(&self, section: Section) -> String {
        let mut text = format!(
            "\n## Variants of the peers: {}\n\nOnce each, best first; the first of a line ran in \
             the pairs.\n\n| work | who | variants |\n|---|---|---|\n",
            section.title()
        );
        for row in section.rows(self.quick) {
            for &peer in [Contender::Ours].iter().chain(Contender::peers(section)) {
                let ranking = self.samples.ranking(section, peer, &row);
                let mut told: Vec<String> = ranking
                    .iter()
                    .map(|(variant, value)| format!("{} {}", variant.label(peer), number(*value)))
                    .collect();
                let failed = self.samples.failed(section, peer, row.work);
                told.extend(failed.iter().map(|label| format!("failed: {label}")));
                if !told.is_empty() {
                    let told = told.join("; ");
                    text.push_str(&format!("| {} | {} | {told} |\n", row.title, peer.name()));
                }
            }
        }
        text
    }

    /// Writes the Markdown, and beside it all runs as JSON; returns the Markdown's path.
    pub(super) fn write(&self, folder: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let (day, commit) = (self.machine.day(), &self.machine.commit);
        let path = folder.join(format!("cpu-{day}-{commit}.md"));
        std::fs::write(&path, self.markdown())?;
        std::fs::write(path.with_extension("json"), serde_json::to_string_pretty(self)? + "\n")?;
        Ok(path)
    }
}

fn none() -> String {
    "–".to_owned()
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(none, number)
}

fn met(reach: Reach, ratio: f64) -> String {
    if reach.is_met(ratio) { "yes" } else { "no" }.to_owned()
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(reach) => write!(f, "≥ {reach}"),
            Self::AtMost(reach) => write!(f, "≤ {reach}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::bench::cpu::limits::Limits;
    use crate::bench::cpu::samples::{Sample, Samples};
    use crate::bench::cpu::variant::{Contender, Variant, Weights};
    use crate::bench::cpu::work::{Figure, Section, Work};

    fn sample(contender: Contender, work: Work, pair: Option<usize>, rate: f64) -> Sample {
        let variant = Variant::plain(Weights::Q4_1);
        let figures = [(Figure::TokensPerS, rate)].into();
        Sample { section: Section::Q4, contender, variant, work, pair, figures }
    }

    #[test]
    fn a_row_tells_all_contenders_the_ratio_and_whether_it_is_met() {
        let (prefill, decode) = (Work::Prefill(512), Work::Decode(128));
        let samples = Samples(vec![
            sample(Contender::LlamaCpp, prefill, None, 700.0),
            sample(Contender::IkLlamaCpp, prefill, None, 1500.0),
            sample(Contender::Ours, prefill, Some(0), 3000.0),
            sample(Contender::LlamaCpp, prefill, Some(0), 800.0),
            sample(Contender::IkLlamaCpp, prefill, Some(0), 1000.0),
            sample(Contender::Ours, decode, Some(0), 300.0),
            sample(Contender::Ours, Work::Step, Some(0), 2000.0),
        ]);
        let limits = Limits {
            int8_gops_1t: Some(400.0),
            product_share: Some(0.71),
            read_100mb_gbs_2t: Some(40.0),
            ..Limits::default()
        };
        let text = Report::new(vec![Section::Q4], true, samples, limits).markdown();
        for line in [
            "| work | agentbase | llama.cpp | ik_llama.cpp | OpenVINO GenAI | ratio to the best \
             | reach | met |",
            "| prefill, 512 tokens, tokens/s | 3000 | 800 | 1000 | – | 3.00 | ≥ 1.5 | yes |",
            "| decode, 1 stream after 128, tokens/s | 300 | – | – | – | – | ≥ 1.3 | – |",
            "| prefill, 512 tokens, tokens/s | ik_llama.cpp | Q4_1 no-fa kv16 1500 |",
            "| 8-bit integer products, 1 thread, Gop/s | 400 |",
            // 300 × (96.4 + 192 × 0.02304) MB of 40 GB/s.
            "| decode, 1 stream, of the reading that the machine allows | 0.76 | ≥ 0.8 | no |",
            // 3000 × 0.21234 Gop of 800 Gop/s.
            "| prefill of 512, all of its time, of the integer peak | 0.80 | – | – |",
            "| main products of prefill, 512 tokens, 1 thread, of the integer peak | 0.71 | ≥ 0.6 \
             | yes",
            // 16 ms for 8.6 Gop at 800 Gop/s, which take longer than the bytes.
            "| step of 32 decodes, times its roofline | 1.49 | ≤ 2 | yes | 8.6 Gop",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("4,096"), "a quick table has no long rows: {text}");
    }
}
