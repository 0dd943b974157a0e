//! `cargo xtask bench serve`: our server and llama.cpp's in turn, same weights, same load.
//!
//! Invariant: contenders differ only in the program that serves; every level starts a fresh
//! process, prompts share no prefix, and every run is kept in the results beside the medians.

pub(crate) mod measure;
mod report;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use loadtests::Endpoint;

use crate::bench::peers::{llama_cpp, server::Served};
use crate::server::{self, Launch, Server};
use crate::{repo, tools, weights};

use self::measure::{Load, Run};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Clients at once
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16, 32])]
    concurrency: Vec<usize>,
    /// Requests each client sends one after the other, at least 4 in all
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// How often each contender runs, in turn
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    /// Tokens in
    #[arg(long, default_value_t = 128)]
    prompt_tokens: usize,
    /// Tokens out
    #[arg(long, default_value_t = 128)]
    output_tokens: usize,
    /// Threads of either server
    #[arg(long, default_value_t = super::default_threads())]
    threads: usize,
    /// Measure this build of ours instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Measure only ours
    #[arg(long)]
    alone: bool,
}

/// llama.cpp's caches of earlier prompts, in the slots and in memory, are off: no prompt comes
/// twice, so that keeping them would only cost it.
const NO_PROMPT_CACHES: [&str; 3] = ["--no-cache-prompt", "--cache-ram", "0"];

/// The servers that are compared.
enum Contender {
    Agentbase { binary: PathBuf, data_dir: PathBuf },
    LlamaCpp { bin: PathBuf, gguf: PathBuf },
}

/// A started one; it ends when dropped.
enum Process {
    Agentbase(Server),
    LlamaCpp(Served),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    tools::require_c_compiler()?;
    let gguf = weights::obtain()?;
    let binary = args.binary.clone().map_or_else(|| server::build("release"), Ok)?;
    let folder = server::fresh_data_dir()?;
    let data_dir = folder.path().to_owned();
    server::import_model(&binary, &data_dir)?;
    let mut contenders = vec![Contender::Agentbase { binary, data_dir }];
    if !args.alone {
        contenders.push(Contender::LlamaCpp { bin: llama_cpp::obtain()?, gguf });
    }
    let mut runs = Vec::new();
    for pair_idx in 0..args.pairs {
        // Whoever goes first has a cooler machine: take turns.
        contenders.rotate_left(pair_idx.min(1));
        for contender in &contenders {
            for &concurrency in &args.concurrency {
                println!("pair {} · {} · {concurrency} clients", pair_idx + 1, contender.name());
                runs.push(measure_level(contender, args, pair_idx, concurrency)?);
                println!("  {}", report::line(&runs[runs.len() - 1]));
            }
        }
    }
    let report = report::Report::new(runs);
    println!("\n{}", report.markdown());
    let written = report.write(&repo::root().join("benches/results"))?;
    println!("written to {}", written.display());
    Ok(())
}

impl Contender {
    fn name(&self) -> &'static str {
        match self {
            Self::Agentbase { .. } => "agentbase",
            Self::LlamaCpp { .. } => "llama.cpp",
        }
    }

    fn start(&self, args: &Args, concurrency: usize) -> Result<(Process, Endpoint)> {
        match self {
            Self::Agentbase { binary, data_dir } => {
                let threads = args.threads.to_string();
                let extra = ["--no-auth", "--threads", &threads].map(str::to_owned).to_vec();
                let launch = Launch {
                    binary: binary.clone(),
                    data_dir: data_dir.clone(),
                    listen: "127.0.0.1:0".to_owned(),
                    extra,
                    show_log: false,
                };
                let server = launch.start()?;
                let endpoint = server.endpoint(None);
                Ok((Process::Agentbase(server), endpoint))
            }
            Self::LlamaCpp { bin, gguf } => {
                let context = concurrency * (args.prompt_tokens + args.output_tokens + 64);
                let size = llama_cpp::Size { threads: args.threads, slots: concurrency, context };
                let mut peer = llama_cpp::start(bin, gguf, size, &NO_PROMPT_CACHES)?;
                peer.await_first(measure::first_answer)?;
                let endpoint = peer.endpoint();
                Ok((Process::LlamaCpp(peer), endpoint))
            }
        }
    }
}

impl Process {
    fn pid(&self) -> u32 {
        match self {
            Self::Agentbase(server) => server.pid(),
            Self::LlamaCpp(peer) => peer.pid(),
        }
    }
}

fn measure_level(
    contender: &Contender,
    args: &Args,
    pair_idx: usize,
    concurrency: usize,
) -> Result<Run> {
    let started = Instant::now();
    let (process, endpoint) = contender.start(args, concurrency)?;
    let load = Load {
        concurrency,
        num_requests: (concurrency * args.rounds).max(4),
        prompt_tokens: args.prompt_tokens,
        output_tokens: args.output_tokens,
    };
    measure::first_answer(&endpoint)?;
    let startup = started.elapsed();
    let level = measure::level(&endpoint, load, process.pid())
        .with_context(|| format!("{} with {concurrency} clients", contender.name()))?;
    Ok(Run { contender: contender.name(), pair_idx, startup_s: startup.as_secs_f64(), level })
}
