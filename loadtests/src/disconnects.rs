//! Clients that hang up midway, among others that stay.
//!
//! Invariant: the clock starts when the last one hangs up, while the others still run; what the
//! server may hold from then on is what those that are left can need.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::check::{BLOCK, CheckPlan, all_ok, chat, token_texts};
use crate::{Ask, Endpoint, Metrics, Stop, distinct_prompt, parse_metrics, run_crowd};

/// After clients left, the server has this long to notice.
const SETTLE: Duration = Duration::from_secs(1);
const RUNNING: &str = "agentbase_requests_running";
const WAITING: &str = "agentbase_requests_waiting";
const HELD_BLOCKS: &str = "agentbase_kv_cache_blocks_used";

/// Half of the chats hang up midway.
pub(crate) fn disconnects(endpoint: &Endpoint, plan: CheckPlan) -> Result<String> {
    let hangs_up = |ask_idx: usize| ask_idx % 2 == 1;
    let asks: Vec<Ask> = (0..plan.num_chats)
        .map(|i| match hangs_up(i) {
            false => chat(10_000 + i as u64, plan.answer_tokens, Stop::AtEnd),
            true => Ask {
                body: json!({
                    "messages": [{ "role": "user", "content": distinct_prompt(10_000 + i as u64) }],
                    "max_tokens": 1000,
                    "ignore_eos": true,
                }),
                ..chat(0, 0, Stop::AfterPieces(4 + i % 5))
            },
        })
        .collect();
    let num_leaving = asks.len() / 2;
    let leaving = AtomicUsize::new(num_leaving);
    let staying = AtomicUsize::new(asks.len() - num_leaving);
    let finished = |ask_idx: usize| {
        let group = if hangs_up(ask_idx) { &leaving } else { &staying };
        group.fetch_sub(1, Ordering::SeqCst);
    };
    let most_blocks = most_blocks(endpoint, &asks[0])?;
    let (crowd, gone) = std::thread::scope(|scope| {
        // Watched while the others still run: their end must not be what frees the blocks.
        let watch = scope.spawn(|| {
            while leaving.load(Ordering::SeqCst) > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            settle(endpoint, || {
                let open = staying.load(Ordering::SeqCst);
                (open as f64, (open as u64 * most_blocks) as f64)
            })
        });
        (run_crowd(endpoint, &asks, asks.len(), &finished), watch.join())
    });
    all_ok(&crowd)?;
    let gone = gone.map_err(|_| anyhow::anyhow!("the watching thread panicked"))?;
    let gone = gone.context("after the last one hung up")?;
    let clean = settle(endpoint, || (0.0, 0.0)).context("after everyone left")?;
    Ok(format!(
        "{num_leaving} of {} hung up; gone after {:.0?}, while {} others ran; clean {:.0?} after \
         the end",
        asks.len(),
        gone.took,
        gone.num_open,
        clean.took
    ))
}

/// Blocks that a chat holds at most, of those that stay to the end.
fn most_blocks(endpoint: &Endpoint, ask: &Ask) -> Result<u64> {
    let prompt = token_texts(endpoint, &ask.body["messages"])?.len() as u64;
    let answer = ask.body["max_tokens"].as_u64().unwrap_or(0);
    // Prompts differ by a few tokens.
    Ok((prompt + answer + BLOCK).div_ceil(BLOCK))
}

/// The server came down to what was allowed.
struct Settled {
    took: Duration,
    num_open: f64,
}

/// Waits, for a second at most, until no more sequences run or wait, and no more blocks are held,
/// than `allowed` says.
fn settle(endpoint: &Endpoint, allowed: impl Fn() -> (f64, f64)) -> Result<Settled> {
    let started = Instant::now();
    loop {
        // Before the server is asked: it ends a chat before its client knows.
        let (num_open, blocks) = allowed();
        let is_last = started.elapsed() > SETTLE;
        let [running, waiting, held] = left_behind(&parse_metrics(&endpoint.get("/metrics")?))?;
        if running + waiting <= num_open && held <= blocks {
            return Ok(Settled { took: started.elapsed(), num_open });
        }
        // Looked at once more after the time is up: a busy machine may stop this thread.
        ensure!(
            !is_last,
            "{SETTLE:?} later {running} run, {waiting} wait and {held} blocks are held, where \
             {num_open} may and {blocks}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn left_behind(metrics: &Metrics) -> Result<[f64; 3]> {
    let get = |name| metrics.get(name).with_context(|| format!("/metrics has no {name}"));
    Ok([get(RUNNING)?, get(WAITING)?, get(HELD_BLOCKS)?])
}
