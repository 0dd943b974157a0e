//! One level of load on one started server.
//!
//! Invariant: tokens are those that the server's usage counts; a request that failed or fell
//! short fails the whole run, so no contender looks fast by answering less.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtests::{Ask, Endpoint, Stop, distinct_text, read_memory, run_crowd, summarize};
use serde::Serialize;
use serde_json::json;

/// What is asked.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) concurrency: usize,
    pub(crate) num_requests: usize,
    pub(crate) prompt_tokens: usize,
    pub(crate) output_tokens: usize,
}

/// One contender at one level, once.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) contender: &'static str,
    pub(crate) pair_idx: usize,
    /// From starting the process to the end of its first answer.
    pub(crate) startup_s: f64,
    #[serde(flatten)]
    pub(crate) level: Level,
}

/// What was seen.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Level {
    pub(crate) concurrency: usize,
    pub(crate) num_requests: usize,
    /// Per request, on average.
    pub(crate) prompt_tokens: f64,
    pub(crate) output_tokens_per_s: f64,
    pub(crate) first_token_p50_ms: f64,
    pub(crate) first_token_p99_ms: f64,
    pub(crate) inter_token_p50_ms: f64,
    pub(crate) inter_token_p99_ms: f64,
    pub(crate) peak_rss_mib: f64,
    /// When the last request had ended.
    pub(crate) rss_mib: f64,
}

fn ask(number: u64, prompt_tokens: usize, output_tokens: usize) -> Ask {
    Ask {
        path: "/v1/completions",
        body: json!({
            "prompt": distinct_text(number, prompt_tokens),
            "max_tokens": output_tokens,
            "temperature": 0,
            "ignore_eos": true,
        }),
        stop: Stop::AtEnd,
    }
}

/// One token, so that the time to the first answer is that of starting and loading.
pub(crate) fn first_answer(endpoint: &Endpoint) -> Result<()> {
    loadtests::stream(endpoint, &ask(1_000_000, 4, 1)).map(drop)
}

pub(crate) fn level(endpoint: &Endpoint, load: Load, pid: u32) -> Result<Level> {
    // Once through, so that pages and caches are as they stay.
    loadtests::stream(endpoint, &ask(2_000_000, load.prompt_tokens, 16))?;
    let asks: Vec<Ask> = (0..load.num_requests as u64)
        .map(|number| ask(number, load.prompt_tokens, load.output_tokens))
        .collect();
    let crowd = run_crowd(endpoint, &asks, load.concurrency, &|_| ());
    let (mut first, mut gaps) = (Vec::new(), Vec::new());
    let (mut prompt, mut output) = (0, 0);
    for result in crowd.results {
        let timeline = result?;
        let usage = timeline.usage.context("the server sends no usage")?;
        ensure!(
            usage.completion_tokens == load.output_tokens as u64,
            "{} tokens came, {} were asked for",
            usage.completion_tokens,
            load.output_tokens
        );
        prompt += usage.prompt_tokens;
        output += usage.completion_tokens;
        first.push(ms(timeline.first_token().context("no text came")?));
        gaps.extend(timeline.gaps().map(ms));
    }
    let first = summarize(&first).context("nothing was measured")?;
    let gaps = summarize(&gaps).context("no request had two tokens")?;
    let memory = read_memory(pid)?;
    Ok(Level {
        concurrency: load.concurrency,
        num_requests: load.num_requests,
        prompt_tokens: prompt as f64 / asks.len() as f64,
        output_tokens_per_s: output as f64 / crowd.wall.as_secs_f64(),
        first_token_p50_ms: first.p50,
        first_token_p99_ms: first.p99,
        inter_token_p50_ms: gaps.p50,
        inter_token_p99_ms: gaps.p99,
        peak_rss_mib: mib(memory.peak),
        rss_mib: mib(memory.resident),
    })
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
