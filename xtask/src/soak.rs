//! `cargo xtask soak`: what holds for a while has to hold for long: kills, and requests of all
//! kinds against the ledger.

use anyhow::Result;

use crate::postgres::Postgres;
use crate::repo;
use crate::tally::{Tally, run_counted};

/// The tests that take their length from the environment: package, binary, test.
const LONG: [(&str, &str, &str); 3] = [
    ("agentbase", "books", "kills_lose_and_double_nothing"),
    ("server-metering", "metering", "kill::"),
    ("server-http", "api", "metering::fuzz"),
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Kills of a server under load, on each database
    #[arg(long, value_name = "N", default_value_t = 200)]
    rounds: u64,
    /// Requests that end in all ways, each held against the ledger
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    requests: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let postgres = Postgres::start()?;
    let mut all = Tally::default();
    for (package, binary, test) in LONG {
        let mut command = repo::cargo_command();
        command.args(["test", "--locked", "--package", package, "--test", binary, "--", test]);
        command.env("AGENTBASE_SOAK_ROUNDS", args.rounds.to_string());
        command.env("AGENTBASE_FUZZ_REQUESTS", args.requests.to_string());
        command.env("AGENTBASE_TEST_POSTGRES", postgres.url());
        all.add(run_counted(&mut command)?);
    }
    println!("Summary: {} passed, {} failed", all.passed, all.failed);
    all.require_success()
}
