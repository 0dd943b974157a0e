//! The habits of this repository: `cargo xtask serve`, `test`, `tidy`, `licences`, `load`, `soak`,
//! `bench`.
//!
//! Invariant: a habit needs nothing but Rust, Python, a C compiler and PostgreSQL (for the tests),
//! keeps what it fetches in `.agentbase/`, and either does the whole thing or says exactly what to
//! run.

// A command line speaks on its standard streams.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod clients;
mod conformance;
mod licences;
mod load;
mod node;
mod postgres;
mod repo;
mod serve;
mod server;
mod shell;
mod soak;
mod suite;
mod tally;
mod test;
mod tidy;
mod tools;
mod weights;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The habits of this repository")]
struct Cli {
    #[command(subcommand)]
    habit: Habit,
}

#[derive(Subcommand)]
enum Habit {
    /// Build, fetch the default model and serve it on 127.0.0.1:8080
    Serve(serve::Args),
    /// Everything that must pass before a change goes in, cheapest first
    Test(test::Args),
    /// Arrows between crates, sizes of files and functions, module docs
    Tidy(tidy::Args),
    /// Licences, advisories and duplicates of dependencies, offline
    Licences(licences::Args),
    /// The official OpenAI and Anthropic clients against the real binary and the real model
    Clients(clients::Args),
    /// Every client in tests/clients, and the table of the API
    Conformance(conformance::Args),
    /// What must hold under load: usage counts, disconnects, flat memory
    Load(load::Args),
    /// Kills and requests of all kinds against the ledger, for long
    Soak(soak::Args),
    /// Measure against others
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Fetch the default model's weights and print where they lie
    Weights {
        /// And those of the encoders that tests ask
        #[arg(long)]
        tests: bool,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().habit) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(habit: Habit) -> anyhow::Result<()> {
    match habit {
        Habit::Serve(args) => serve::run(&args),
        Habit::Test(args) => test::run(&args),
        Habit::Tidy(args) => tidy::run(&args),
        Habit::Licences(args) => licences::run(&args),
        Habit::Clients(args) => clients::run(&args)?.require_success(),
        Habit::Conformance(args) => conformance::run(&args)?.require_success(),
        Habit::Load(args) => load::run(&args)?.require_success(),
        Habit::Soak(args) => soak::run(&args),
        Habit::Bench(bench) => bench::run(&bench),
        Habit::Weights { tests } => {
            println!("{}", weights::obtain()?.display());
            if tests {
                println!("{}", weights::obtain_minilm()?.display());
                println!("{}", weights::obtain_classifiers()?.display());
            }
            Ok(())
        }
    }
}
