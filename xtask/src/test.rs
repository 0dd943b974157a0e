//! `cargo xtask test`: everything that must pass before a change goes in, cheapest first.
//!
//! Invariant: one failing step does not hide the others; the last line tells how many passed and
//! failed, and the exit status agrees with it.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::postgres::Postgres;
use crate::tally::{Tally, run_counted};
use crate::{clients, licences, load, repo, server, shell, tidy, tools, weights};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out what is slow: the doc tests, the official clients and the load
    #[arg(long)]
    quick: bool,
}

/// One step: what it is called, whether `--quick` leaves it out, and how it runs.
struct Part {
    name: &'static str,
    slow: bool,
    run: fn() -> Result<Tally>,
}

const PARTS: &[Part] = &[
    Part { name: "format", slow: false, run: format },
    Part { name: "tidy", slow: false, run: tidy_up },
    Part { name: "licences and advisories", slow: false, run: licence },
    Part { name: "clippy", slow: false, run: clippy },
    Part { name: "weights", slow: false, run: fetch },
    Part { name: "tests", slow: false, run: tests },
    Part { name: "without SIMD", slow: true, run: without_simd },
    Part { name: "doc tests", slow: true, run: doc_tests },
    Part { name: "official clients", slow: true, run: official_clients },
    Part { name: "load", slow: true, run: under_load },
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let started = Instant::now();
    let mut told = Vec::new();
    let mut all = Tally::default();
    for part in PARTS.iter().filter(|part| !(args.quick && part.slow)) {
        println!("── {} ──", part.name);
        let part_started = Instant::now();
        let tally = (part.run)().unwrap_or_else(|error| {
            eprintln!("{}: {error:#}", part.name);
            Tally { failed: 1, ..Tally::default() }
        });
        all.add(tally);
        told.push((part.name, part_started.elapsed(), tally));
    }
    println!("\n{}", table(&told, started.elapsed()));
    println!("Summary: {} passed, {} failed", all.passed, all.failed);
    all.require_success()
}

fn table(told: &[(&str, Duration, Tally)], total: Duration) -> String {
    let mut text = String::new();
    for (name, took, tally) in told {
        let outcome = if tally.failed > 0 { "FAILED" } else { "ok" };
        text.push_str(&format!("{name:<26} {:>7.1} s  {outcome}\n", took.as_secs_f64()));
    }
    text + &format!("{:<26} {:>7.1} s", "in all", total.as_secs_f64())
}

fn cargo(args: &[&str]) -> Command {
    let mut command = repo::cargo_command();
    command.args(args);
    command
}

/// A step without tests of its own counts as one.
fn one(result: Result<()>) -> Result<Tally> {
    result.map(|()| Tally { passed: 1, ..Tally::default() })
}

fn format() -> Result<Tally> {
    tools::require_component("rustfmt", "fmt")?;
    one(shell::run_shown(&mut cargo(&["fmt", "--all", "--", "--check"])))
}

fn tidy_up() -> Result<Tally> {
    one(tidy::run(&tidy::Args::check()))
}

fn licence() -> Result<Tally> {
    one(licences::run(&licences::Args::check()))
}

fn clippy() -> Result<Tally> {
    tools::require_c_compiler()?;
    tools::require_component("clippy", "clippy")?;
    let args = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    one(shell::run_shown(&mut cargo(&args)))
}

fn fetch() -> Result<Tally> {
    one(weights::obtain()
        .and_then(|_| weights::obtain_minilm())
        .and_then(|_| weights::obtain_classifiers())
        .map(drop))
}

/// By nextest where it is installed; building it would take longer than it saves. Beside a
/// PostgreSQL, which ends with them.
fn tests() -> Result<Tally> {
    let postgres = Postgres::start()?;
    let mut command = if has_nextest() {
        cargo(&["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])
    } else {
        println!("cargo-nextest is not installed; using cargo test");
        let mut command = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
        command.args(["--lib", "--bins", "--tests"]);
        command
    };
    command.env("AGENTBASE_TEST_POSTGRES", postgres.url());
    command.env("AGENTBASE_TEST_GGUF", weights::obtain()?);
    command.env("AGENTBASE_TEST_MINILM", weights::obtain_minilm()?);
    run_counted(command.env("AGENTBASE_TEST_CLASSIFIERS", weights::obtain_classifiers()?))
}

/// What models say, with plain code only. The real one would take minutes; `tests/perplexity.rs`
/// asks it a little.
fn without_simd() -> Result<Tally> {
    let tests = "package(engine-llm) & (binary(golden) | binary(drafts) | binary(allocations))";
    let mut command = if has_nextest() {
        let mut command = cargo(&["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
        command.args(["-E", &format!("{tests} & !test(smollm2)")]);
        command
    } else {
        let mut command = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
        command.args(["--test", "golden", "--test", "drafts", "--test", "allocations"]);
        command.args(["--", "--skip", "smollm2"]);
        command
    };
    run_counted(command.env("AGENTBASE_ISA", "portable"))
}

fn has_nextest() -> bool {
    shell::succeeds(&repo::cargo(), &["nextest", "--version"])
}

fn doc_tests() -> Result<Tally> {
    run_counted(&mut cargo(&["test", "--doc", "--workspace", "--locked", "--no-fail-fast"]))
}

fn official_clients() -> Result<Tally> {
    clients::run(&clients::Args::of(server::build_as_tests_do()?))
}

fn under_load() -> Result<Tally> {
    load::run(&load::Args::brief(server::build_as_tests_do()?))
}
