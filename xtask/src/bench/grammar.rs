//! `cargo xtask bench grammar`: sixteen streams that follow a schema beside sixteen that do
//! not, and plain ones while schemas arrive that are made to be slow.
//!
//! Invariant: kinds of load take turns on one server, and differ in nothing else.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use loadtests::{Ask, Endpoint, Stop, distinct_text, median, run_crowd, summarize};
use serde_json::{Value, json};

use super::machine::{Machine, number};
use crate::server::{self, Launch};
use crate::{repo, tools};

const STREAMS: usize = 16;
const PROMPT_WORDS: usize = 100;
const OUTPUT_TOKENS: usize = 128;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each kind of load runs, in turn
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Threads of the server
    #[arg(long, default_value_t = super::default_threads())]
    threads: usize,
    /// Measure this build instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    /// All streams follow a schema.
    Schema,
    /// All are plain, and hostile schemas arrive one after another.
    Hostile,
}

/// Milliseconds between pieces of text.
#[derive(Clone, Copy)]
struct Gaps {
    p50: f64,
    p99: f64,
    /// Hostile requests that were answered meanwhile.
    num_hostile: usize,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    tools::require_c_compiler()?;
    let binary = args.binary.clone().map_or_else(|| server::build("release"), Ok)?;
    let folder = server::fresh_data_dir()?;
    let data_dir = folder.path().to_owned();
    server::import_model(&binary, &data_dir)?;
    let extra = ["--no-auth", "--threads", &args.threads.to_string()].map(str::to_owned).to_vec();
    let listen = "127.0.0.1:0".to_owned();
    let server = Launch { binary, data_dir, listen, extra, show_log: false }.start()?;
    let endpoint = server.endpoint(None);
    measure(&endpoint, Kind::Schema, 0)?;
    let kinds = [Kind::Plain, Kind::Schema, Kind::Hostile];
    let mut runs: Vec<(Kind, Gaps)> = Vec::new();
    for pair_idx in 0..args.pairs {
        for i in 0..kinds.len() {
            let kind = kinds[(i + pair_idx) % kinds.len()];
            let gaps = measure(&endpoint, kind, 1 + runs.len())?;
            println!("{kind:?}: inter-token p50 {:.1} ms, p99 {:.1} ms", gaps.p50, gaps.p99);
            runs.push((kind, gaps));
        }
    }
    let text = markdown(&runs, args.pairs);
    println!("\n{text}");
    let machine = Machine::here();
    let name = format!("benches/results/grammar-{}-{}.md", machine.day(), machine.commit);
    let path = repo::root().join(name);
    std::fs::write(&path, text)?;
    println!("written to {}", path.display());
    Ok(())
}

fn measure(endpoint: &Endpoint, kind: Kind, run: usize) -> Result<Gaps> {
    let ask = |i: usize| {
        let mut body = json!({
            "prompt": distinct_text((run * STREAMS + i) as u64, PROMPT_WORDS),
            "max_tokens": OUTPUT_TOKENS, "temperature": 0, "speculation": false,
        });
        match kind {
            Kind::Schema => body["structured_outputs"] = json!({"json": schema()}),
            Kind::Plain | Kind::Hostile => body["ignore_eos"] = true.into(),
        }
        Ask { path: "/v1/completions", body, stop: Stop::AtEnd }
    };
    let asks: Vec<Ask> = (0..STREAMS).map(ask).collect();
    let (over, num_hostile) = (AtomicBool::new(false), AtomicUsize::new(0));
    let crowd = std::thread::scope(|scope| {
        if kind == Kind::Hostile {
            scope.spawn(|| {
                for i in 0.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let body = json!({"model": endpoint.model, "prompt": "x", "max_tokens": 1,
                        "structured_outputs": hostile(run * 1000 + i)});
                    // An answer or a refusal: both are what it costs the others.
                    if endpoint.send("/v1/completions", &body).is_ok() {
                        num_hostile.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let crowd = run_crowd(endpoint, &asks, STREAMS, &|_| {});
        over.store(true, Ordering::Relaxed);
        crowd
    });
    let mut gaps = Vec::new();
    for result in crowd.results {
        gaps.extend(result?.gaps().map(|gap| gap.as_secs_f64() * 1e3));
    }
    let gaps = summarize(&gaps).context("nothing was streamed")?;
    Ok(Gaps { p50: gaps.p50, p99: gaps.p99, num_hostile: num_hostile.into_inner() })
}

/// Longer than any answer here becomes.
fn schema() -> Value {
    json!({"type": "array", "minItems": 60, "items": {"type": "object", "properties": {
        "name": {"type": "string", "maxLength": 30}, "n": {"type": "integer"},
        "ok": {"type": "boolean"}}, "required": ["name", "n", "ok"],
        "additionalProperties": false}})
}

/// One that has not come before, of several kinds.
fn hostile(i: usize) -> Value {
    let deep = (0..9).fold(json!({"const": i}), |inner, _| {
        json!({"type": "object", "properties": {"a": inner.clone(), "b": inner},
            "additionalProperties": false})
    });
    match i % 5 {
        0 => json!({"json": deep}),
        1 => json!({"json": {"enum": (0..4000).map(|n| format!("{i}x{n}")).collect::<Vec<_>>()}}),
        2 => json!({"regex": format!("(.*a){{30}}{i}")}),
        3 => json!({"regex": format!("((x+x+)+y){{1,300}}{i}")}),
        _ => json!({"grammar": format!("root ::= root root root | \"x\"? | \"{i}\"")}),
    }
}

fn markdown(runs: &[(Kind, Gaps)], pairs: usize) -> String {
    let of = |kind: Kind, figure: fn(&Gaps) -> f64| {
        let values: Vec<f64> =
            runs.iter().filter(|(of, _)| *of == kind).map(|(_, gaps)| figure(gaps)).collect();
        median(&values).unwrap_or(f64::NAN)
    };
    let hostile: Vec<f64> = runs.iter().map(|(_, gaps)| gaps.num_hostile as f64).collect();
    let mut text = format!(
        "# Grammars, {}\n\n{}\nMedians of {pairs} runs of each kind in turn; {STREAMS} streams of \
         {PROMPT_WORDS} words in and {OUTPUT_TOKENS} tokens out, greedy.\n\n\
         | streams | inter-token p50, ms | p99, ms |\n|---|---:|---:|\n",
        Machine::here().date,
        Machine::here().line(),
    );
    for (kind, name) in [
        (Kind::Plain, "plain"),
        (Kind::Schema, "all following a JSON schema"),
        (Kind::Hostile, "plain, while hostile schemas arrive"),
    ] {
        let (p50, p99) = (of(kind, |gaps| gaps.p50), of(kind, |gaps| gaps.p99));
        text += &format!("| {name} | {} | {} |\n", number(p50), number(p99));
    }
    let ratio = |kind, figure| of(kind, figure) / of(Kind::Plain, figure);
    text += &format!(
        "\n| ratio to plain | | reach |\n|---|---:|---:|\n| p50 with a schema | {:.3} | ≤ 1.05 |\n\
         | p99 while hostile schemas arrive | {:.2} | ≤ 1.2 |\n\n{:.0} hostile requests were \
         answered in all.\n",
        ratio(Kind::Schema, |gaps| gaps.p50),
        ratio(Kind::Hostile, |gaps| gaps.p99),
        hostile.iter().sum::<f64>(),
    );
    text
}
