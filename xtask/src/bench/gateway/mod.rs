//! `cargo xtask bench gateway`: what a request costs beside the engine, with an engine that answers
//! at once; and LiteLLM's proxy before the same server.
//!
//! Invariant: contenders run in turn on the same machine, the load's generator on it too; an answer
//! of ours that is no success fails the run, and of the proxy's it is told.

mod ours;
mod report;
mod turns;
mod wrk;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtests::{Endpoint, Pace, paced, summarize};
use serde::Serialize;
use serde_json::{Value, json};

use self::ours::Ours;
use self::report::Report;
use self::wrk::Load;
use super::peers::litellm;
use crate::{repo, tools};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each contender runs, in turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    pairs: u8,
    /// Seconds of each load
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..600))]
    seconds: u64,
    /// Connections with chats of one token, one after the other
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Streams at once
    #[arg(long, default_value_t = 256)]
    streams: usize,
    /// Tokens of each stream
    #[arg(long, default_value_t = 256)]
    stream_tokens: usize,
    /// Chats a second, at which the time that they take is measured
    #[arg(long, default_value_t = 7500.0)]
    rate: f64,
    /// Pairs of a second with and without metering
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..200))]
    turns: u8,
    /// Measure this build of ours instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Measure only ours
    #[arg(long)]
    alone: bool,
    /// Keep the results in benches/results
    #[arg(long)]
    save: bool,
}

/// One contender under one load, once.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) contender: &'static str,
    pub(crate) pair_idx: u8,
    #[serde(flatten)]
    pub(crate) seen: Seen,
}

/// What was seen.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Seen {
    /// What was asked.
    pub(crate) load: &'static str,
    pub(crate) requests_per_s: f64,
    /// Requests times the tokens of each.
    pub(crate) tokens_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Processor time of the server for each request, user and system; of a proxy, with the time
    /// of the server behind it.
    pub(crate) cpu_us: f64,
    /// Requests that had no answer, or another than 200; of ours none may.
    pub(crate) failed: u64,
}

/// The servers that are compared; they differ in what they are told.
const OURS: [(&str, &[&str]); 3] = [
    ("agentbase", &[]),
    ("agentbase without metering", &["--no-metering"]),
    ("agentbase without keys and metering", &["--no-auth", "--no-metering"]),
];
const LITELLM: &str = "LiteLLM, agentbase behind it";
const PACED_BARE: &str = "paced, bare handler";
const PACED_CHATS: &str = "paced, chats";
/// The bare handler.
const BASELINE: &str = "/baseline";
const CHATS: &str = "/v1/chat/completions";

pub(crate) fn run(args: &Args) -> Result<()> {
    tools::require_wrk()?;
    let binary = args.binary.clone().map_or_else(ours::build, Ok)?;
    let litellm = if args.alone { None } else { Some(litellm::obtain()?) };
    let mut contenders: Vec<_> = OURS.map(|(name, options)| (name, options, None)).into();
    contenders.extend(litellm.as_deref().map(|bin| (LITELLM, &[][..], Some(bin))));
    let mut runs = Vec::new();
    for pair_idx in 0..args.pairs {
        // Whoever goes first has a cooler machine: take turns.
        contenders.rotate_left(usize::from(pair_idx.min(1)));
        for &(contender, options, litellm) in &contenders {
            println!("pair {} · {contender}", pair_idx + 1);
            let server = Ours::start(&binary, options)?;
            let seen = match litellm {
                Some(bin) => measure_proxy(bin, &server, args),
                None => measure(&server, args),
            };
            let seen = seen.with_context(|| contender.to_owned())?;
            runs.extend(seen.into_iter().map(|seen| Run { contender, pair_idx, seen }));
        }
    }
    println!("with and without metering, {} pairs of a second …", args.turns);
    let [chats, _] = loads(args);
    runs.extend(turns::measure(&binary, chats, args.turns)?);
    let report = Report::new(runs);
    println!("\n{}", report.markdown());
    if args.save {
        let written = report.write(&repo::root().join("benches/results"))?;
        println!("written to {}", written.display());
    }
    Ok(())
}

/// Ours by itself: all that it can, and chats at a steady rate.
fn measure(server: &Ours, args: &Args) -> Result<Vec<Seen>> {
    let (endpoint, pids) = (server.endpoint(), [server.pid()]);
    let mut all = Vec::new();
    for load in loads(args) {
        let seen = wrk::run(&endpoint, &load, &pids)?;
        ensure!(seen.failed == 0, "{} of {} failed", seen.failed, load.name);
        all.push(seen);
    }
    for (load, path) in [(PACED_BARE, BASELINE), (PACED_CHATS, CHATS)] {
        all.push(steady(&endpoint, args, (load, path), &pids)?);
    }
    all.iter().for_each(|seen| println!("  {}", report::line(seen)));
    Ok(all)
}

/// LiteLLM's proxy, with ours behind it.
fn measure_proxy(bin: &Path, server: &Ours, args: &Args) -> Result<Vec<Seen>> {
    let behind = server.endpoint();
    let key = behind.api_key.as_deref().context("it has keys")?;
    let mut proxy = litellm::start(bin, &behind.base_url, key)?;
    let key = Some(litellm::MASTER_KEY.to_owned());
    let endpoint = Endpoint::new(&proxy.base_url(), ours::MODEL, key);
    let answers = |_: &Endpoint| endpoint.post(CHATS, &chat(1, &json!({}))).map(drop);
    proxy.served().await_first(answers)?;
    let pids = [server.pid(), proxy.pid()];
    let all = loads(args).into_iter().map(|load| wrk::run(&endpoint, &load, &pids));
    let all = all.collect::<Result<Vec<_>>>()?;
    all.iter().for_each(|seen| println!("  {}", report::line(seen)));
    Ok(all)
}

fn loads(args: &Args) -> [Load; 2] {
    let load = |name, connections, num_tokens, body| Load {
        name,
        path: CHATS,
        connections,
        seconds: args.seconds,
        num_tokens,
        body,
    };
    let stream = json!({"stream": true, "ignore_eos": true});
    [
        load("chats", args.connections, 1, chat(1, &json!({}))),
        load("streams", args.streams, args.stream_tokens, chat(args.stream_tokens, &stream)),
    ]
}

/// The body of a request for so many tokens.
fn chat(num_tokens: usize, more: &Value) -> Value {
    let mut body = json!({
        "model": ours::MODEL,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": num_tokens,
    });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    body
}

/// Chats at a steady rate, which `wrk` cannot.
fn steady(
    endpoint: &Endpoint,
    args: &Args,
    (load, path): (&'static str, &str),
    pids: &[u32],
) -> Result<Seen> {
    let duration = Duration::from_secs(args.seconds);
    let pace = Pace { per_s: args.rate, connections: args.connections, duration };
    let before = ours::processor_us(pids);
    let times = paced(endpoint, path, &chat(1, &json!({})), pace)?;
    let used = ours::processor_us(pids) - before;
    let times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    let seen = summarize(&times).context("nothing was measured")?;
    Ok(Seen {
        load,
        requests_per_s: times.len() as f64 / duration.as_secs_f64(),
        tokens_per_s: times.len() as f64 / duration.as_secs_f64(),
        p50_ms: seen.p50,
        p99_ms: seen.p99,
        cpu_us: used / times.len() as f64,
        failed: 0,
    })
}
