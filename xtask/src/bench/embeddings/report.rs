//! The results as people and as programs read them.
//!
//! Invariant: a table names machine, command and commit; every variant that was tried is below it,
//! with how near its embeddings are to the reference's.

use std::path::{Path, PathBuf};

use anyhow::Result;
use loadtests::median;
use serde::Serialize;

use super::contend::{Contender, Seen};
use super::http::{self, CLIENTS, Level, OverHttp};
use super::samples::{Samples, is_right};
use super::work::{LEAST_COSINE, REACH, WORKS, Work};
use crate::bench::machine::{Machine, number};

/// Everything about one benchmark.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    machine: Machine,
    samples: Samples,
    over_http: Option<OverHttp>,
}

impl Report {
    pub(super) fn new(samples: Samples, over_http: Option<OverHttp>) -> Self {
        Self { machine: Machine::here(), samples, over_http }
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = format!(
            "# Embeddings by all-MiniLM-L6-v2, {}\n\n{}\n",
            self.machine.date,
            self.machine.line()
        );
        if !self.samples.0.is_empty() {
            text.push_str(&self.engines());
            text.push_str(&self.variants());
        }
        if let Some(over_http) = &self.over_http {
            text.push_str(&served(over_http));
        }
        text
    }

    fn engines(&self) -> String {
        let peers = Contender::PEERS.map(Contender::name).join(" | ");
        let mut text = format!(
            "\n## Batches, tokens/s\n\nMedians of {} runs in turn, tokens in and embeddings out. \
             In brackets the least cosine to\nsentence-transformers' embeddings of the same texts; \
             below {LEAST_COSINE} it does not count.\n\n| texts × tokens | agentbase | {peers} | \
             ratio to the best | reach | met |\n|---|---:|---:|---:|---:|---:|---:|---:|\n",
            self.samples.num_pairs()
        );
        for work in WORKS {
            let contenders = [Contender::Ours].into_iter().chain(Contender::PEERS);
            let cells: Vec<String> =
                contenders.map(|who| cell(self.samples.median(who, work))).collect();
            let ratio = self.samples.ratio(work);
            text.push_str(&format!("| {work} | {} | {} |\n", cells.join(" | "), met(ratio, REACH)));
        }
        text
    }

    fn variants(&self) -> String {
        let mut text = "\n## Variants of the peers\n\nOnce each, best first, tokens/s.\n\n\
                        | texts × tokens | who | variants |\n|---|---|---|\n"
            .to_owned();
        for work in WORKS {
            for peer in Contender::PEERS {
                text.push_str(&self.tried(peer, work));
            }
        }
        text
    }

    fn tried(&self, peer: Contender, work: Work) -> String {
        let ranking = self.samples.ranking(peer, work);
        let told = ranking.into_iter().map(|(variant, seen)| {
            let seen = seen.map_or_else(|| "failed".to_owned(), |seen| cell(Some(seen)));
            format!("{} {seen}", peer.label(variant))
        });
        format!("| {work} | {} | {} |\n", peer.name(), told.collect::<Vec<_>>().join("; "))
    }

    /// Writes the Markdown, and beside it all runs as JSON; returns the Markdown's path.
    pub(super) fn write(&self, folder: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let (day, commit) = (self.machine.day(), &self.machine.commit);
        let path = folder.join(format!("embeddings-{day}-{commit}.md"));
        std::fs::write(&path, self.markdown())?;
        std::fs::write(path.with_extension("json"), serde_json::to_string_pretty(self)? + "\n")?;
        Ok(path)
    }
}

fn cell(seen: Option<Seen>) -> String {
    let Some(seen) = seen else { return "–".to_owned() };
    let wrong = if is_right(&seen) { "" } else { ", does not count" };
    format!("{} ({:.6}{wrong})", number(seen.tokens_per_s), seen.cosine)
}

/// Ratio, reach, and whether it is met.
fn met(ratio: Option<f64>, reach: f64) -> String {
    let Some(ratio) = ratio else { return format!("– | ≥ {reach} | –") };
    let met = if ratio >= reach { "yes" } else { "no" };
    format!("{ratio:.2} | ≥ {reach} | {met}")
}

fn served(over_http: &OverHttp) -> String {
    let OverHttp { num_texts, tokens: (least, most, mean), .. } = over_http;
    let mut text = format!(
        "\n## Over HTTP\n\n{num_texts} texts of {least} to {most} tokens, {mean:.0} on average, \
         one a request to `/v1/embeddings` in Base64, over\nconnections that are kept. The engine \
         alone computes the same tokens, as many texts at once as\nthere are clients.\n\n| clients \
         | engine, tokens/s | HTTP, tokens/s | ratio | reach | met | p50 ms | p99 ms |\n\
         |---:|---:|---:|---:|---:|---:|---:|---:|\n"
    );
    for clients in CLIENTS {
        let of = |figure: fn(&Level) -> f64| {
            let levels = over_http.levels.iter().filter(|level| level.clients == clients);
            median(&levels.map(figure).collect::<Vec<_>>())
        };
        let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
        let (engine, rate) =
            (of(|level| level.engine_tokens_per_s), of(|level| level.tokens_per_s));
        let ratio = rate.zip(engine).map(|(rate, engine)| rate / engine);
        text.push_str(&format!(
            "| {clients} | {} | {} | {} | {} | {} |\n",
            shown(engine),
            shown(rate),
            met(ratio, http::REACH),
            shown(of(|level| level.p50_ms)),
            shown(of(|level| level.p99_ms)),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::bench::embeddings::contend::Contender;
    use crate::bench::embeddings::http::{Level, OverHttp};
    use crate::bench::embeddings::samples::{Samples, tests::sample};

    fn level(clients: usize, pair: usize, rates: (f64, f64)) -> Level {
        let (engine_tokens_per_s, tokens_per_s) = rates;
        Level { clients, pair, engine_tokens_per_s, tokens_per_s, p50_ms: 2.5, p99_ms: 30.0 }
    }

    #[test]
    fn a_row_tells_all_contenders_the_ratio_and_whether_it_is_met() {
        let samples = Samples(vec![
            sample(Contender::OnnxRuntime, 0, None, (1000.0, 1.0)),
            sample(Contender::OnnxRuntime, 1, None, (0.0, 1.0)),
            sample(Contender::OnnxRuntime, 0, Some(0), (1100.0, 1.0)),
            sample(Contender::OpenVinoBf16, 2, None, (9000.0, 0.9991)),
            sample(Contender::OpenVinoBf16, 2, Some(0), (9000.0, 0.9991)),
            sample(Contender::Ours, 0, Some(0), (2200.0, 0.99999)),
        ]);
        let levels = vec![
            level(16, 0, (100.0, 80.0)),
            level(16, 1, (200.0, 190.0)),
            level(1, 0, (50.0, 20.0)),
        ];
        let over_http = OverHttp { num_texts: 3, tokens: (16, 256, 136.2), levels };
        let report = Report::new(samples, Some(over_http));
        let text = report.markdown();
        for line in [
            "| texts × tokens | agentbase | ONNX Runtime | OpenVINO F32 | OpenVINO BF16 | ratio",
            "| 32 × 64 | 2200 (0.999990) | 1100 (1.000000) | – | 9000 (0.999100, does not count) | \
             2.00 | ≥ 1.4 | yes |\n",
            "| 1 × 64 | – | – | – | – | – | ≥ 1.4 | – |\n",
            "| 32 × 64 | ONNX Runtime | fused 1000 (1.000000); plain failed |\n",
            "| 32 × 64 | OpenVINO BF16 | one shape, 2 parts 9000 (0.999100, does not count) |\n",
            "3 texts of 16 to 256 tokens, 136 on average",
            "| 16 | 150 | 135 | 0.90 | ≥ 0.9 | yes | 2.50 | 30 |\n",
            "| 1 | 50 | 20 | 0.40 | ≥ 0.9 | no | 2.50 | 30 |\n",
            "| 64 | – | – | – | ≥ 0.9 | – | – | – |\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let folder = tempfile::tempdir().unwrap();
        let written = report.write(folder.path()).unwrap();
        assert!(written.with_extension("json").exists());
    }
}
