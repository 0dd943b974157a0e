//! `agentbase bench`: the engine alone, without scheduler and HTTP; `--streams` with the scheduler.
//! Of an encoder, whole batches.
//!
//! Every sequence has blocks of its own and its context is really computed, so that the cache is
//! read from memory as in service.

mod encoder;
mod streams;

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result, bail};
use engine_core::{
    Adapter, BlockId, BlockTable, Engine, EngineLimits, Sample, SamplingParams, SeqId, SeqWork,
    Step, Want,
};
use engine_llm::adapters::{AdapterBase, Kept};
use serde::Serialize;

pub(super) use self::encoder::run as encode;
use crate::{
    cli::BenchArgs,
    load::{self, Loaded},
};

/// Adapters at most, and their rank.
const MAX_ADAPTERS: usize = 256;
const ADAPTER_RANK: usize = 16;

/// One measured point.
#[derive(Debug, Serialize)]
struct Row {
    phase: &'static str,
    batch: usize,
    /// Tokens in the cache before, per sequence.
    depth: usize,
    /// Tokens computed, per sequence.
    tokens: usize,
    /// Median over the repetitions.
    seconds: f64,
    tokens_per_second: f64,
}

/// All that a reader needs to judge the numbers.
#[derive(Debug, Serialize)]
struct Report<'a> {
    model: &'a str,
    threads: usize,
    repeat: usize,
    /// Made-up ones that sequences take in turn.
    adapters: usize,
    version: &'static str,
    rows: Vec<Row>,
}

/// Measures prefill at each prompt length, decode at each batch size and depth, and requests
/// through the scheduler at each number of streams.
///
/// # Errors
/// If a point does not fit the engine's limits, or the engine fails.
pub(super) fn run(args: &BenchArgs, loaded: Loaded, threads: usize) -> Result<()> {
    let adapters = made_up_adapters(&loaded.base, args.adapters)?;
    let mut engine: Box<dyn Engine> = Box::new(loaded.engine);
    let limits = engine.limits();
    let none_at_once = args.batch.contains(&0) || args.streams.contains(&0);
    if args.repeat == 0 || args.generate == 0 || none_at_once {
        bail!("--repeat, --generate, --batch and --streams must be at least 1");
    }
    let mut rows = Vec::new();
    for prompt in &args.prompt {
        rows.push(measure(args.repeat, || prefill(&mut *engine, &limits, *prompt))?);
    }
    for depth in &args.depth {
        for batch in &args.batch {
            let sizes = (*batch, *depth, args.generate);
            let point = || decode(&mut *engine, (&limits, &adapters), sizes);
            rows.push(measure(args.repeat, point)?);
        }
    }
    rows.extend(streams::rows(
        engine,
        (load::planner_config(&args.engine), &adapters),
        &args.streams,
        args.repeat,
    )?);
    let report = Report {
        model: &args.name,
        threads,
        repeat: args.repeat,
        adapters: args.adapters,
        version: env!("CARGO_PKG_VERSION"),
        rows,
    };
    print(args.json, &report)
}

/// Adapters of no use but to measure with.
fn made_up_adapters(base: &AdapterBase, num: usize) -> Result<Vec<Adapter>> {
    if num > MAX_ADAPTERS {
        bail!("--adapters {num}: at most {MAX_ADAPTERS} are made up");
    }
    let made_up = |i: usize| {
        let lora = base.made_up(ADAPTER_RANK, i as u64, Kept::Bf16).context("an adapter")?;
        Ok(Adapter::new(format!("made-up-{i}"), Arc::new(lora)))
    };
    (0..num).map(made_up).collect()
}

/// The one that a sequence takes, if there are any.
fn adapter_of(adapters: &[Adapter], seq: usize) -> Option<Adapter> {
    adapters.get(seq.checked_rem(adapters.len())?).cloned()
}

/// The point's median over `repeat` runs, after one that warms caches.
fn measure(repeat: usize, mut point: impl FnMut() -> Result<Row>) -> Result<Row> {
    point()?;
    let mut rows = (0..repeat).map(|_| point()).collect::<Result<Vec<_>>>()?;
    rows.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    Ok(rows.swap_remove(repeat / 2))
}

fn prefill(engine: &mut dyn Engine, limits: &EngineLimits, tokens: usize) -> Result<Row> {
    let tables = block_tables(limits, 1, tokens)?;
    let start = Instant::now();
    feed(engine, limits, &tables[0], 0, tokens)?;
    Ok(row("prefill", (1, 0, tokens), start))
}

fn decode(
    engine: &mut dyn Engine,
    (limits, adapters): (&EngineLimits, &[Adapter]),
    (batch, depth, tokens): (usize, usize, usize),
) -> Result<Row> {
    if batch > limits.max_step_seqs as usize {
        bail!("--batch {batch}: a step holds {} sequences at most", limits.max_step_seqs);
    }
    let tables = block_tables(limits, batch, depth + tokens)?;
    for (i, table) in tables.iter().enumerate() {
        feed(engine, limits, table, i, depth)?;
    }
    let start = Instant::now();
    for done in 0..tokens {
        let work = tables
            .iter()
            .enumerate()
            .map(|(i, table)| SeqWork {
                adapter: adapter_of(adapters, i),
                ..work(table, i, (depth + done, 1), limits)
            })
            .collect();
        engine.execute(&Step { step_idx: done as u64, work }).context("decoding")?;
    }
    Ok(row("decode", (batch, depth, tokens), start))
}

fn row(phase: &'static str, (batch, depth, tokens): (usize, usize, usize), start: Instant) -> Row {
    let seconds = start.elapsed().as_secs_f64();
    let tokens_per_second = (batch * tokens) as f64 / seconds;
    Row { phase, batch, depth, tokens, seconds, tokens_per_second }
}

/// Blocks for `batch` sequences of `len` positions, none shared.
fn block_tables(limits: &EngineLimits, batch: usize, len: usize) -> Result<Vec<BlockTable>> {
    if len == 0 || len > limits.max_model_len as usize {
        bail!("{len} positions do not fit the context of {}", limits.max_model_len);
    }
    let each = (len as u32).div_ceil(limits.block_size) * limits.groups.count();
    if batch as u64 * u64::from(each) > u64::from(limits.num_blocks) {
        bail!(
            "{batch} sequences of {len} positions need {} cache blocks, there are {}; raise \
             --kv-cache",
            batch as u64 * u64::from(each),
            limits.num_blocks
        );
    }
    let table = |i: u32| BlockTable((i * each..(i + 1) * each).map(BlockId).collect());
    Ok((0..batch as u32).map(table).collect())
}

/// Computes positions `0..len` of a sequence in steps as large as the engine takes.
fn feed(
    engine: &mut dyn Engine,
    limits: &EngineLimits,
    table: &BlockTable,
    seq: usize,
    len: usize,
) -> Result<()> {
    let chunk = limits.max_step_tokens as usize;
    for from in (0..len).step_by(chunk) {
        let work = work(table, seq, (from, chunk.min(len - from)), limits);
        engine.execute(&Step { step_idx: 0, work: vec![work] }).context("prefill")?;
    }
    Ok(())
}

/// Tokens `from..from + len` of a made-up text, asking for a greedy token at its end.
fn work(
    table: &BlockTable,
    seq: usize,
    (from, len): (usize, usize),
    limits: &EngineLimits,
) -> SeqWork {
    let token = |place| made_up_token(seq, place, limits.vocab_size);
    SeqWork {
        seq: SeqId(seq as u64),
        adapter: None,
        input: (from..from + len).map(token).collect(),
        insets: Vec::new(),
        num_drafts: 0,
        num_cached_tokens: from as u32,
        block_table: table.clone(),
        want: Want::Sample(Sample {
            params: Arc::new(SamplingParams { temperature: 0.0, ..Default::default() }),
            seed: 0,
            num_generated: 0,
            min_tokens: 0,
            banned: Arc::new([]),
            history: None,
            mask: None,
        }),
        score: None,
    }
}

/// The token at `place` of a made-up text; texts with other numbers begin with other tokens.
fn made_up_token(number: usize, place: usize, vocab_size: u32) -> u32 {
    (place * 7919 + number * 104_729) as u32 % vocab_size
}

fn print(json: bool, report: &Report<'_>) -> Result<()> {
    if json {
        outln!("{}", serde_json::to_string_pretty(report)?)?;
        return Ok(());
    }
    outln!("{}, {} threads, median of {}", report.model, report.threads, report.repeat)?;
    outln!(
        "{:8} {:>6} {:>7} {:>7} {:>10} {:>10}",
        "phase",
        "batch",
        "depth",
        "tokens",
        "ms",
        "tokens/s"
    )?;
    for row in &report.rows {
        outln!(
            "{:8} {:>6} {:>7} {:>7} {:>10.1} {:>10.1}",
            row.phase,
            row.batch,
            row.depth,
            row.tokens,
            row.seconds * 1e3,
            row.tokens_per_second
        )?;
    }
    Ok(())
}
