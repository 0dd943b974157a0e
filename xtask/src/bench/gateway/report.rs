//! The results as people and as programs read them.
//!
//! Invariant: numbers are medians over runs in turn, and the table names machine, command and
//! commit.

use std::path::{Path, PathBuf};

use anyhow::Result;
use loadtests::median;
use serde::Serialize;

use super::turns::TURNS;
use super::{LITELLM, OURS, PACED_BARE, PACED_CHATS, Run, Seen};
use crate::bench::machine::{Machine, number};

/// Everything about one benchmark.
#[derive(Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    machine: Machine,
    runs: Vec<Run>,
}

/// What is told of a run: its name, and where it is.
type Figure = (&'static str, fn(&Seen) -> f64);

const FIGURES: [Figure; 5] = [
    ("requests/s", |seen| seen.requests_per_s),
    ("tokens/s", |seen| seen.tokens_per_s),
    ("p50 ms", |seen| seen.p50_ms),
    ("p99 ms", |seen| seen.p99_ms),
    ("server's CPU µs a request", |seen| seen.cpu_us),
];

/// One run on one line.
pub(crate) fn line(seen: &Seen) -> String {
    let told = FIGURES.map(|(name, get)| format!("{} {name}", number(get(seen))));
    let failed =
        if seen.failed > 0 { format!(" · {} failed", seen.failed) } else { String::new() };
    format!("{}: {}{failed}", seen.load, told.join(" · "))
}

impl Report {
    pub(crate) fn new(runs: Vec<Run>) -> Self {
        Self { machine: Machine::here(), runs }
    }

    /// A table for each load, and what comes of them.
    pub(crate) fn markdown(&self) -> String {
        let in_turn = self.runs.iter().filter(|run| run.seen.load != TURNS);
        let num_pairs = in_turn.map(|run| 1 + run.pair_idx).max().unwrap_or(0);
        let mut text = format!(
            "# Gateway, {}\n\n{}\nMedians of {num_pairs} runs in turn, the load's generator on the \
             same machine; an engine that answers at once.\n",
            self.machine.date,
            self.machine.line(),
        );
        let names = FIGURES.map(|(name, _)| name).join(" | ");
        for load in distinct(self.runs.iter().map(|run| run.seen.load)) {
            text.push_str(&format!("\n| {load} | {names} |\n|---|{}\n", "---:|".repeat(5)));
            for contender in distinct(self.runs.iter().map(|run| run.contender)) {
                let told = FIGURES.map(|(_, get)| self.median_of(contender, load, get));
                if let Some(told) = told.into_iter().collect::<Option<Vec<_>>>() {
                    let told: Vec<_> = told.into_iter().map(number).collect();
                    text.push_str(&format!("| {contender} | {} |\n", told.join(" | ")));
                }
            }
        }
        text.push('\n');
        for line in self.comparisons() {
            text.push_str(&format!("- {line}\n"));
        }
        text
    }

    /// Ours to LiteLLM's, and what a chat takes more than the bare handler.
    fn comparisons(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let ours = OURS[0].0;
        for load in ["chats", "streams"] {
            let of = |contender| self.median_of(contender, load, |seen| seen.tokens_per_s);
            if let (Some(ours), Some(theirs)) = (of(ours), of(LITELLM)) {
                let ratio = number(ours / theirs);
                lines.push(format!("{load}: {ratio} times what LiteLLM's proxy answers"));
            }
        }
        for (contender, _) in OURS {
            let (bare, chat) = (PACED_BARE, PACED_CHATS);
            let added = |get: fn(&Seen) -> f64| {
                Some(self.median_of(contender, chat, get)? - self.median_of(contender, bare, get)?)
            };
            if let (Some(p50), Some(p99)) = (added(|seen| seen.p50_ms), added(|seen| seen.p99_ms)) {
                let rate = self.median_of(contender, chat, |seen| seen.requests_per_s);
                lines.push(format!(
                    "{contender} at {:.0} requests/s adds {p50:.2} ms to the bare handler's p50, \
                     {p99:.2} ms to its p99",
                    rate.unwrap_or(0.0)
                ));
            }
        }
        lines.extend(cost_of_metering(&self.runs));
        lines
    }

    fn median_of(&self, contender: &str, load: &str, get: fn(&Seen) -> f64) -> Option<f64> {
        let runs =
            self.runs.iter().filter(|run| run.contender == contender && run.seen.load == load);
        median(&runs.map(|run| get(&run.seen)).collect::<Vec<_>>())
    }

    /// Writes both forms into `folder`; the path of the table.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf> {
        let stem = format!("gateway-{}-{}", self.machine.day(), self.machine.commit);
        std::fs::create_dir_all(folder)?;
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(folder.join(format!("{stem}.json")), json + "\n")?;
        let path = folder.join(format!("{stem}.md"));
        std::fs::write(&path, self.markdown())?;
        Ok(path)
    }
}

/// By how much the chats of a second with metering are fewer than those of the next without.
fn cost_of_metering(runs: &[Run]) -> Option<String> {
    let [metered, plain] = [OURS[0].0, OURS[1].0].map(|contender| {
        let in_turn = runs.iter().filter(|run| run.seen.load == TURNS);
        in_turn.filter(move |run| run.contender == contender).map(|run| run.seen.requests_per_s)
    });
    let ratios: Vec<_> = metered.zip(plain).map(|(metered, plain)| metered / plain).collect();
    let (percent, num_pairs) = (100.0 * (1.0 - median(&ratios)?), ratios.len());
    Some(format!("metering takes {percent:.1} % of chats: the median of {num_pairs} pairs"))
}

/// Each once, in order.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_metering_costs_is_the_median_of_pairs_and_not_of_each_side() {
        let run = |(contender, pair_idx, requests_per_s)| {
            let (tokens_per_s, p50_ms, p99_ms) = (0.0, 0.0, 0.0);
            let (load, cpu_us, failed) = (TURNS, 0.0, 0);
            let seen = Seen { load, requests_per_s, tokens_per_s, p50_ms, p99_ms, cpu_us, failed };
            Run { contender, pair_idx, seen }
        };
        let [with, without] = [OURS[0].0, OURS[1].0];
        // The second pair has a slower machine, the third began with the other.
        let all = [
            (with, 0, 90.0),
            (without, 0, 100.0),
            (with, 1, 40.0),
            (without, 1, 50.0),
            (without, 2, 100.0),
            (with, 2, 95.0),
        ];
        let told = cost_of_metering(&all.map(run)).unwrap();
        assert_eq!(told, "metering takes 10.0 % of chats: the median of 3 pairs");
        assert_eq!(cost_of_metering(&[]), None);
    }
}
