//! `cargo xtask bench grammar`: sixteen streams that follow a schema beside sixteen that do
//! not, and plain ones beside clients whose grammars are made to be slow, or that have none.
//!
//! Invariant: kinds of load take turns on one server, and differ in nothing else. A gap counts from
//! when the last stream's prompt was read; clients beside the streams go on until these end.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use loadtests::{
    Ask, Crowd, Endpoint, Stop, Timeline, distinct_text, median, run_crowd, summarize,
};
use serde_json::{Value, json};

use super::machine::{Machine, number};
use crate::server::{self, Launch};
use crate::{repo, tools};

const STREAMS: usize = 16;
const PROMPT_WORDS: usize = 100;
const OUTPUT_TOKENS: usize = 128;
/// Beside the streams; each asks again as soon as it is answered.
const CLIENTS: usize = 4;
const CLIENT_TOKENS: usize = 64;

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
    /// Plain streams and nothing beside them.
    Plain,
    /// All streams follow a schema.
    Schema,
    /// Plain streams, and clients beside them that have no grammar.
    Ordinary,
    /// Plain streams, and as many clients with a new hostile grammar each time.
    Hostile,
}

const KINDS: [Kind; 4] = [Kind::Plain, Kind::Schema, Kind::Ordinary, Kind::Hostile];

/// Milliseconds between pieces of text.
#[derive(Clone, Copy)]
struct Gaps {
    p50: f64,
    p99: f64,
    beside: Beside,
}

/// What became of the clients' requests.
#[derive(Clone, Copy, Default)]
struct Beside {
    num_answered: usize,
    num_refused: usize,
    num_tokens: u64,
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
    let mut runs: Vec<(Kind, Gaps)> = Vec::new();
    for pair_idx in 0..args.pairs {
        for i in 0..KINDS.len() {
            let kind = KINDS[(i + pair_idx) % KINDS.len()];
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
            Kind::Plain | Kind::Ordinary | Kind::Hostile => body["ignore_eos"] = true.into(),
        }
        Ask { path: "/v1/completions", body, stop: Stop::AtEnd }
    };
    let asks: Vec<Ask> = (0..STREAMS).map(ask).collect();
    let (crowd, beside) = match kind {
        Kind::Plain | Kind::Schema => {
            (run_crowd(endpoint, &asks, STREAMS, &|_| {}), Beside::default())
        }
        Kind::Ordinary | Kind::Hostile => run_beside(endpoint, &asks, kind, run)?,
    };
    let timelines = crowd.results.into_iter().collect::<Result<Vec<_>>>()?;
    let gaps = summarize(&gaps(&timelines)).context("nothing was streamed after the prompts")?;
    Ok(Gaps { p50: gaps.p50, p99: gaps.p99, beside })
}

/// In milliseconds, once no stream waits for its prompt: all were asked for at the same time.
fn gaps(timelines: &[Timeline]) -> Vec<f64> {
    let read = timelines.iter().filter_map(Timeline::first_token).max().unwrap_or(Duration::MAX);
    let pairs = timelines.iter().flat_map(|timeline| timeline.pieces.windows(2));
    pairs
        .filter(|pair| pair[0] >= read)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3)
        .collect()
}

/// The streams, and clients beside them that go on until the streams have ended.
fn run_beside(
    endpoint: &Endpoint,
    asks: &[Ask],
    kind: Kind,
    run: usize,
) -> Result<(Crowd, Beside)> {
    let (over, next) = (AtomicBool::new(false), AtomicUsize::new(run * 10_000));
    let client = || {
        let mut beside = Beside::default();
        while !over.load(Ordering::Relaxed) {
            let i = next.fetch_add(1, Ordering::Relaxed);
            beside.add(ask_once(endpoint, (kind == Kind::Hostile).then(|| hostile(i)))?);
        }
        anyhow::Ok(beside)
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let crowd = run_crowd(endpoint, asks, STREAMS, &|_| {});
        over.store(true, Ordering::Relaxed);
        let mut all = Beside::default();
        for client in clients {
            all.add(client.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        Ok((crowd, all))
    })
}

/// One request of a client's; a refusal, too, is what it costs the others.
fn ask_once(endpoint: &Endpoint, grammar: Option<Value>) -> Result<Beside> {
    let mut body = json!({"model": endpoint.model, "prompt": "x", "temperature": 0,
        "max_tokens": CLIENT_TOKENS, "speculation": false});
    match grammar {
        Some(grammar) => body["structured_outputs"] = grammar,
        None => body["ignore_eos"] = true.into(),
    }
    let response = endpoint.send("/v1/completions", &body)?;
    if !response.status().is_success() {
        return Ok(Beside { num_refused: 1, ..Beside::default() });
    }
    let answer: Value = serde_json::from_str(&response.into_body().read_to_string()?)?;
    let num_tokens = answer["usage"]["completion_tokens"].as_u64().context("no usage")?;
    Ok(Beside { num_answered: 1, num_tokens, num_refused: 0 })
}

impl Beside {
    fn add(&mut self, other: Self) {
        self.num_answered += other.num_answered;
        self.num_refused += other.num_refused;
        self.num_tokens += other.num_tokens;
    }
}

/// Longer than any answer here becomes.
fn schema() -> Value {
    json!({"type": "array", "minItems": 60, "items": {"type": "object", "properties": {
        "name": {"type": "string", "maxLength": 30}, "n": {"type": "integer"},
        "ok": {"type": "boolean"}}, "required": ["name", "n", "ok"],
        "additionalProperties": false}})
}

/// One that has not come before, of several kinds: large ones, ones with very many states, and
/// ones that can be read in so many ways that each token takes long.
fn hostile(i: usize) -> Value {
    let deep = (0..9).fold(json!({"const": i}), |inner, _| {
        json!({"type": "object", "properties": {"a": inner.clone(), "b": inner},
            "required": ["a", "b"], "additionalProperties": false})
    });
    let object = |name: &str, value: Value| {
        let properties = json!({ name: value });
        json!({"type": "object", "properties": properties, "required": [name]})
    };
    let either = |n: usize| {
        json!({"anyOf": [object(&format!("a{n}"), json!({"const": i})),
            object(&format!("b{n}"), json!({"type": "integer"}))]})
    };
    match i % 7 {
        0 => json!({"json": deep}),
        1 => json!({"json": {"enum": (0..4000).map(|n| format!("{i}x{n}")).collect::<Vec<_>>()}}),
        2 => json!({"regex": format!("(.*a){{30}}{i}")}),
        3 => json!({"regex": format!("((x+x+)+y){{1,300}}{i}")}),
        4 => json!({"grammar": format!("root ::= root root root | \"x\"? | \"{i}\"")}),
        5 => json!({"json": {"allOf": (0..9).map(either).collect::<Vec<_>>()}}),
        _ => json!({"grammar": format!("start: e\ne: e e | \"x\" | \"xx\" | \"{i}\"")}),
    }
}

fn markdown(runs: &[(Kind, Gaps)], pairs: usize) -> String {
    let of = |kind: Kind, figure: fn(&Gaps) -> f64| {
        let values: Vec<f64> =
            runs.iter().filter(|(of, _)| *of == kind).map(|(_, gaps)| figure(gaps)).collect();
        median(&values).unwrap_or(f64::NAN)
    };
    let mut text = format!(
        "# Grammars, {}\n\n{}\nMedians of {pairs} runs of each kind in turn; {STREAMS} streams of \
         {PROMPT_WORDS} words in and {OUTPUT_TOKENS} tokens out, greedy, measured once all prompts \
         were read; {CLIENTS} clients beside them, who ask for {CLIENT_TOKENS} tokens again and \
         again.\n\n\
         | streams | inter-token p50, ms | p99, ms |\n|---|---:|---:|\n",
        Machine::here().date,
        Machine::here().line(),
    );
    for (kind, name) in [
        (Kind::Plain, "plain"),
        (Kind::Schema, "all following a JSON schema"),
        (Kind::Ordinary, "plain, beside ordinary clients"),
        (Kind::Hostile, "plain, beside hostile clients"),
    ] {
        let (p50, p99) = (of(kind, |gaps| gaps.p50), of(kind, |gaps| gaps.p99));
        text += &format!("| {name} | {} | {} |\n", number(p50), number(p99));
    }
    text += "\n| ratio | p50 | p99 | reach |\n|---|---:|---:|---|\n";
    for (over, under, name, reach) in [
        (Kind::Schema, Kind::Plain, "with a schema to plain", "p50 ≤ 1.05"),
        (Kind::Ordinary, Kind::Plain, "beside ordinary clients to beside none", ""),
        (Kind::Hostile, Kind::Plain, "beside hostile clients to beside none", ""),
        (Kind::Hostile, Kind::Ordinary, "beside hostile to beside ordinary clients", "p99 ≤ 1.2"),
    ] {
        let ratio = |figure| of(over, figure) / of(under, figure);
        let (p50, p99) = (ratio(|gaps| gaps.p50), ratio(|gaps| gaps.p99));
        text += &format!("| {name} | {p50:.3} | {p99:.2} | {reach} |\n");
    }
    for (kind, name) in [(Kind::Ordinary, "ordinary"), (Kind::Hostile, "hostile")] {
        let mut all = Beside::default();
        runs.iter().filter(|(of, _)| *of == kind).for_each(|(_, gaps)| all.add(gaps.beside));
        let Beside { num_answered, num_refused, num_tokens } = all;
        text += &format!(
            "\nOf the {name} clients' requests {num_answered} were answered, with {num_tokens} \
             tokens, and {num_refused} refused.\n"
        );
    }
    text
}
