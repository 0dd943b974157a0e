//! The works that go through a server, the same for every server.

use anyhow::{Context, Result};
use loadtests::{Ask, Endpoint, Stop, distinct_text, percentile, run_crowd};
use serde_json::json;

use super::work::{
    Figure, Figures, OUTPUT_TOKENS, OWN_TOKENS, PREFIX_OUTPUT_TOKENS, PROMPT_TOKENS, SHARED_TOKENS,
    STREAMS, Work,
};
use crate::bench::peers::server::Served;
use crate::bench::serve::measure::{Load, first_answer, level};

/// Words of a prompt may make a few more tokens than words; what a server keeps per client.
pub(super) const fn context_tokens(work: Work) -> usize {
    match work {
        Work::Prefix => SHARED_TOKENS + OWN_TOKENS + PREFIX_OUTPUT_TOKENS + 128,
        _ => PROMPT_TOKENS + OUTPUT_TOKENS + 64,
    }
}

/// Waits for the server's first token, then does the work.
pub(super) fn measure(work: Work, server: &mut Served) -> Result<Figures> {
    let started = server.await_first(first_answer)?;
    match work {
        Work::Start => Ok([(Figure::StartS, started.as_secs_f64())].into()),
        Work::Serve => serve(&server.endpoint(), server.pid()),
        Work::Prefix => prefix(&server.endpoint()),
        _ => anyhow::bail!("{work:?} needs no server"),
    }
}

fn serve(endpoint: &Endpoint, pid: u32) -> Result<Figures> {
    let load = Load {
        concurrency: STREAMS,
        num_requests: STREAMS,
        prompt_tokens: PROMPT_TOKENS,
        output_tokens: OUTPUT_TOKENS,
    };
    let level = level(endpoint, load, pid)?;
    let mb = |mib: f64| mib * f64::from(1 << 20) / 1e6;
    Ok([
        (Figure::TokensPerS, level.output_tokens_per_s),
        (Figure::FirstTokenP50Ms, level.first_token_p50_ms),
        (Figure::FirstTokenP99Ms, level.first_token_p99_ms),
        (Figure::InterTokenP50Ms, level.inter_token_p50_ms),
        (Figure::InterTokenP99Ms, level.inter_token_p99_ms),
        (Figure::ResidentMb, mb(level.rss_mib)),
        (Figure::PeakMb, mb(level.peak_rss_mib)),
    ]
    .into())
}

fn prefix(endpoint: &Endpoint) -> Result<Figures> {
    let first_token_ms = |first_tail: u64| -> Result<f64> {
        let tails = first_tail..first_tail + STREAMS as u64;
        let asks: Vec<Ask> = tails.map(ask_after_prefix).collect();
        let mut first = Vec::new();
        for result in run_crowd(endpoint, &asks, STREAMS, &|_| ()).results {
            first.push(result?.first_token().context("no text came")?.as_secs_f64() * 1e3);
        }
        percentile(&first, 0.5).context("nothing was measured")
    };
    let unseen = first_token_ms(1)?;
    let seen = first_token_ms(1001)?;
    Ok([(Figure::UnseenPrefixMs, unseen), (Figure::SeenPrefixMs, seen)].into())
}

/// All begin with the same words.
fn ask_after_prefix(tail: u64) -> Ask {
    let (shared, own) = (distinct_text(3_000_000, SHARED_TOKENS), distinct_text(tail, OWN_TOKENS));
    Ask {
        path: "/v1/completions",
        body: json!({
            "prompt": format!("{shared} {own}"),
            "max_tokens": PREFIX_OUTPUT_TOKENS,
            "temperature": 0,
            "ignore_eos": true,
        }),
        stop: Stop::AtEnd,
    }
}
