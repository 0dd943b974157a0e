//! `cargo xtask conformance`: every client in `tests/clients/` against the real binary and the
//! real model, and the table of what the API does with each parameter.
//!
//! Invariant: one client that fails, or cannot be installed, does not hide the others.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::clients::{self, Models};
use crate::suite::{self, Target};
use crate::tally::Tally;

#[derive(clap::Args)]
#[group(id = "conformance")]
pub(crate) struct Args {
    #[command(flatten)]
    server: clients::Args,
    /// Only these suites, folders of tests/clients
    #[arg(value_name = "SUITE")]
    only: Vec<String>,
    /// Write docs/API.md anew instead of holding it against what the tests prove
    #[arg(long)]
    update: bool,
}

/// What became of one suite.
struct Told {
    name: String,
    took: Duration,
    tally: Tally,
}

pub(crate) fn run(args: &Args) -> Result<Tally> {
    let names = if args.only.is_empty() { suite::all()? } else { args.only.clone() };
    let started = Instant::now();
    let asks = |name: &&String| suite::ASK_CLASSIFIERS.contains(&name.as_str());
    let (with, without): (Vec<_>, Vec<_>) = names.iter().partition(asks);
    let mut told = Vec::new();
    for (names, classifier) in [(without, false), (with, true)] {
        if names.is_empty() {
            continue;
        }
        told.extend(clients::with_server(&args.server, Models { classifier }, |target| {
            Ok(names.iter().map(|name| run_one(name, target, args.update)).collect::<Vec<_>>())
        })?);
    }
    let mut all = Tally::default();
    told.iter().for_each(|told| all.add(told.tally));
    println!("\n{}", table(&told, all, started.elapsed()));
    Ok(all)
}

fn run_one(name: &str, target: &Target, update: bool) -> Told {
    println!("── {name} ──");
    let started = Instant::now();
    let tally = suite::prepare(name).and_then(|suite| suite.run(target, update));
    let tally = tally.unwrap_or_else(|error| {
        eprintln!("{name}: {error:#}");
        Tally { failed: 1, ..Tally::default() }
    });
    Told { name: name.to_owned(), took: started.elapsed(), tally }
}

fn table(told: &[Told], all: Tally, total: Duration) -> String {
    let line = |name: &str, tally: Tally, took: Duration| {
        let Tally { passed, failed, skipped } = tally;
        let outcome = if failed > 0 { "FAILED" } else { "ok" };
        let seconds = took.as_secs_f64();
        format!("{name:<14} {passed:>6} {failed:>6} {skipped:>7} {seconds:>7.1} s  {outcome}\n")
    };
    let head =
        format!("{:<14} {:>6} {:>6} {:>7} {:>9}\n", "", "passed", "failed", "skipped", "took");
    let rows = told.iter().map(|told| line(&told.name, told.tally, told.took));
    rows.fold(head, |text, row| text + &row) + line("in all", all, total).trim_end()
}
