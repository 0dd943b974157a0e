//! `cargo xtask load`: what must hold under load, against a server of our own or a running one.
//!
//! Invariant: the exit status is zero only if every check held.

use std::path::PathBuf;

use anyhow::{Context, Result};
use loadtests::{CheckPlan, Endpoint, run_checks};

use crate::server::{self, Launch};
use crate::tally::Tally;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Chats at once
    #[arg(long, default_value_t = 64)]
    chats: usize,
    /// Tokens of a chat's answer, at most
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=512))]
    answer_tokens: u64,
    /// Requests over which memory must stay flat
    #[arg(long, default_value_t = 1000)]
    requests: usize,
    /// A server that runs already; otherwise the release build is built and started
    #[arg(long, requires = "model")]
    url: Option<String>,
    /// Its model
    #[arg(long)]
    model: Option<String>,
    /// Its key
    #[arg(long, env = "AGENTBASE_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Its process, to watch the memory of
    #[arg(long)]
    pid: Option<u32>,
    /// Start this binary instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
}

impl Args {
    /// All checks of this binary, with as many requests as half a minute allows a debug build.
    pub(crate) fn brief(binary: PathBuf) -> Self {
        Self {
            chats: 64,
            answer_tokens: 16,
            requests: 256,
            url: None,
            model: None,
            api_key: None,
            pid: None,
            binary: Some(binary),
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<Tally> {
    let plan = |pid| CheckPlan {
        num_chats: args.chats,
        answer_tokens: args.answer_tokens,
        num_requests: args.requests,
        pid,
    };
    if let (Some(url), Some(model)) = (&args.url, &args.model) {
        let endpoint = Endpoint::new(url, model, args.api_key.clone());
        return Ok(judge(&endpoint, plan(args.pid)));
    }
    let binary = args.binary.clone().map_or_else(|| server::build("release"), Ok)?;
    let folder = server::fresh_data_dir()?;
    let data_dir = folder.path().to_owned();
    server::import_model(&binary, &data_dir)?;
    // A small cache of keys and values, of as many blocks on every processor: few chats fill it,
    // so that it stops growing before memory is measured.
    let extra = ["--kv-cache", "64MiB", "--kv-cache-dtype", "int8"].map(str::to_owned).to_vec();
    let server =
        Launch { binary, data_dir, listen: "127.0.0.1:0".to_owned(), extra, show_log: false }
            .start()?;
    let key = server.first_key.clone().context("the first start showed no key")?;
    Ok(judge(&server.endpoint(Some(key)), plan(Some(server.pid()))))
}

fn judge(endpoint: &Endpoint, plan: CheckPlan) -> Tally {
    if plan.pid.is_none() {
        println!("without --pid the server's memory is not watched");
    }
    let checks = run_checks(endpoint, plan, &|doing| println!("checking: {doing} …"));
    for check in &checks {
        match &check.outcome {
            Ok(seen) => println!("ok      {}: {seen}", check.name),
            Err(seen) => println!("FAILED  {}: {seen}", check.name),
        }
    }
    let failed = checks.iter().filter(|check| check.outcome.is_err()).count();
    let passed = (checks.len() - failed) as i64;
    let tally = Tally { passed, failed: failed as i64, skipped: 0 };
    println!("{} passed, {} failed", tally.passed, tally.failed);
    tally
}
