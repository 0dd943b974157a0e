//! The results as people and as programs read them.
//!
//! Invariant: a ratio is one of medians over runs in turn, ours to theirs, and the table names
//! machine, command and commit.

use std::path::{Path, PathBuf};

use anyhow::Result;
use loadtests::median;
use serde::Serialize;

use super::measure::Run;
use crate::bench::machine::{Machine, number};

/// What is told of a level: its name, and where it is.
type Figure = (&'static str, fn(&Run) -> f64);

const FIGURES: [Figure; 7] = [
    ("tokens/s", |run| run.level.output_tokens_per_s),
    ("TTFT p50 ms", |run| run.level.first_token_p50_ms),
    ("TTFT p99 ms", |run| run.level.first_token_p99_ms),
    ("inter-token p50 ms", |run| run.level.inter_token_p50_ms),
    ("inter-token p99 ms", |run| run.level.inter_token_p99_ms),
    ("peak RSS MiB", |run| run.level.peak_rss_mib),
    ("start to first answer s", |run| run.startup_s),
];

/// Everything about one benchmark.
#[derive(Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    machine: Machine,
    runs: Vec<Run>,
}

/// One run on one line.
pub(crate) fn line(run: &Run) -> String {
    let told = FIGURES.map(|(name, get)| format!("{} {name}", number(get(run))));
    told.join(" · ")
}

impl Report {
    pub(crate) fn new(runs: Vec<Run>) -> Self {
        Self { machine: Machine::here(), runs }
    }

    /// A table per level of load.
    pub(crate) fn markdown(&self) -> String {
        let mut levels: Vec<usize> = self.runs.iter().map(|run| run.level.concurrency).collect();
        levels.sort_unstable();
        levels.dedup();
        let mut text = format!(
            "# Serving, {}\n\n{}\nMedians of {} runs in turn; {:.0} prompt tokens on average.\n",
            self.machine.date,
            self.machine.line(),
            1 + self.runs.iter().map(|run| run.pair_idx).max().unwrap_or(0),
            self.median_of(None, None, |run| run.level.prompt_tokens).unwrap_or(0.0),
        );
        for level in levels {
            text.push_str(&format!(
                "\n| {level} clients | agentbase | llama.cpp | ratio |\n|---|---:|---:|---:|\n"
            ));
            for (name, get) in FIGURES {
                text.push_str(&self.row(name, level, get));
            }
        }
        text
    }

    fn row(&self, name: &str, level: usize, get: fn(&Run) -> f64) -> String {
        let ours = self.median_of(Some("agentbase"), Some(level), get);
        let theirs = self.median_of(Some("llama.cpp"), Some(level), get);
        let ratio = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
        let cell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
        let ratio = ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        format!("| {name} | {} | {} | {ratio} |\n", cell(ours), cell(theirs))
    }

    fn median_of(
        &self,
        contender: Option<&str>,
        level: Option<usize>,
        get: fn(&Run) -> f64,
    ) -> Option<f64> {
        let of_contender = |run: &&Run| contender.is_none_or(|name| run.contender == name);
        let of_level = |run: &&Run| level.is_none_or(|level| run.level.concurrency == level);
        let runs = self.runs.iter().filter(of_contender).filter(of_level);
        median(&runs.map(get).collect::<Vec<_>>())
    }

    /// Writes the Markdown, and beside it all runs as JSON; returns the Markdown's path.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let (day, commit) = (self.machine.day(), &self.machine.commit);
        let path = folder.join(format!("serve-{day}-{commit}.md"));
        std::fs::write(&path, self.markdown())?;
        std::fs::write(path.with_extension("json"), serde_json::to_string_pretty(self)? + "\n")?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::bench::serve::measure::{Level, Run};

    fn run(contender: &'static str, pair_idx: usize, tokens_per_s: f64) -> Run {
        let level = Level {
            concurrency: 4,
            num_requests: 8,
            prompt_tokens: 128.0,
            output_tokens_per_s: tokens_per_s,
            first_token_p50_ms: 50.0,
            first_token_p99_ms: 90.0,
            inter_token_p50_ms: 5.0,
            inter_token_p99_ms: 9.0,
            peak_rss_mib: 300.0,
            rss_mib: 290.0,
        };
        Run { contender, pair_idx, startup_s: 1.5, level }
    }

    #[test]
    fn ratios_are_of_medians() {
        let report = Report::new(vec![
            run("agentbase", 0, 10.0),
            run("llama.cpp", 0, 40.0),
            run("agentbase", 1, 30.0),
            run("llama.cpp", 1, 40.0),
            run("agentbase", 2, 20.0),
            run("llama.cpp", 2, 90.0),
        ]);
        let text = report.markdown();
        assert!(text.contains("| tokens/s | 20 | 40 | 0.50 |"), "{text}");
        assert!(text.contains("Medians of 3 runs"), "{text}");
    }

    #[test]
    fn a_level_tells_all_figures_of_both_and_their_ratios() {
        let theirs = Run {
            contender: "llama.cpp",
            pair_idx: 0,
            startup_s: 3.0,
            level: Level {
                output_tokens_per_s: 80.0,
                first_token_p50_ms: 200.0,
                first_token_p99_ms: 100.0,
                inter_token_p50_ms: 4.0,
                inter_token_p99_ms: 12.0,
                peak_rss_mib: 240.0,
                ..run("", 0, 0.0).level
            },
        };
        let ours = run("agentbase", 0, 20.0);
        let told = super::line(&ours);
        for name in super::FIGURES.map(|(name, _)| name) {
            assert!(told.contains(name), "{told}");
        }
        let text = Report::new(vec![ours, theirs]).markdown();
        let table = "\n| 4 clients | agentbase | llama.cpp | ratio |\n\
            |---|---:|---:|---:|\n\
            | tokens/s | 20 | 80 | 0.25 |\n\
            | TTFT p50 ms | 50 | 200 | 0.25 |\n\
            | TTFT p99 ms | 90 | 100 | 0.90 |\n\
            | inter-token p50 ms | 5.00 | 4.00 | 1.25 |\n\
            | inter-token p99 ms | 9.00 | 12 | 0.75 |\n\
            | peak RSS MiB | 300 | 240 | 1.25 |\n\
            | start to first answer s | 1.50 | 3.00 | 0.50 |\n";
        assert!(text.ends_with(table), "{text}");
    }

    #[test]
    fn without_the_peer_there_is_no_ratio() {
        let report = Report::new(vec![run("agentbase", 0, 10.0)]);
        assert!(report.markdown().contains("| tokens/s | 10 | – | – |"));
        let folder = tempfile::tempdir().unwrap();
        let written = report.write(folder.path()).unwrap();
        assert!(written.with_extension("json").exists());
    }
}
