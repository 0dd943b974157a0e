//! What must hold of our server under load; the "done when" of serving, as code.
//!
//! Invariant: a check either held or says what was seen instead; nothing is skipped silently.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::disconnects::disconnects;
use crate::{Ask, Crowd, Endpoint, Stop, Timeline, Usage, distinct_prompt, read_memory, run_crowd};

/// Growth of memory over the long run that still counts as flat: allocators keep some slack.
const MAX_GROWTH: f64 = 0.03;
/// Tokens of a block; only whole blocks are kept for later requests.
pub(crate) const BLOCK: u64 = 16;
/// So long must an answer be that a cache of prompts alone falls short by two blocks.
const MIN_ANSWER: u64 = 3 * BLOCK;

/// How much load.
#[derive(Clone, Copy, Debug)]
pub struct CheckPlan {
    /// Chats at once.
    pub num_chats: usize,
    /// Tokens of a chat's answer, at most; the shortest has half as many.
    pub answer_tokens: u64,
    /// Requests over which memory must stay flat.
    pub num_requests: usize,
    /// The server's process, if it runs here; without it memory cannot be checked.
    pub pid: Option<u32>,
}

/// One thing that was checked.
#[derive(Clone, Debug)]
pub struct Check {
    /// What must hold.
    pub name: &'static str,
    /// Whether it did, and what was seen.
    pub outcome: std::result::Result<String, String>,
}

/// Runs all checks one after the other; `tell` hears what is being done.
pub fn run_checks(endpoint: &Endpoint, plan: CheckPlan, tell: &dyn Fn(&str)) -> Vec<Check> {
    let run = |name: &'static str, check: &dyn Fn() -> Result<String>| {
        tell(name);
        Check { name, outcome: check().map_err(|error| format!("{error:#}")) }
    };
    let mut checks = vec![
        run("concurrent chats finish and are counted right", &|| chats(endpoint, plan)),
        run("disconnected chats leave nothing behind", &|| disconnects(endpoint, plan)),
        run("a second turn computes only its new tokens", &|| second_turn(endpoint)),
    ];
    if let Some(pid) = plan.pid {
        let name = "memory is flat over many requests";
        checks.push(run(name, &|| flat_memory(endpoint, plan, pid)));
    }
    checks
}

pub(crate) fn chat(number: u64, max_tokens: u64, stop: Stop) -> Ask {
    Ask {
        path: "/v1/chat/completions",
        body: json!({
            "messages": [{ "role": "user", "content": distinct_prompt(number) }],
            "max_tokens": max_tokens,
            "temperature": 0,
            "logprobs": true,
        }),
        stop,
    }
}

fn chats(endpoint: &Endpoint, plan: CheckPlan) -> Result<String> {
    let spread = (plan.answer_tokens / 2).max(1);
    let asks: Vec<Ask> = (0..plan.num_chats as u64)
        .map(|i| chat(i, plan.answer_tokens - i % spread, Stop::AtEnd))
        .collect();
    let crowd = run_crowd(endpoint, &asks, asks.len(), &|_| ());
    let mut num_tokens = 0;
    for (ask, result) in asks.iter().zip(crowd.results) {
        num_tokens += check_usage(endpoint, ask, &result?)?;
    }
    Ok(format!("{} chats, {num_tokens} tokens in {:.1?}", asks.len(), crowd.wall))
}

/// The server's count must be that of its own tokenizer and of the tokens that arrived.
fn check_usage(endpoint: &Endpoint, ask: &Ask, timeline: &Timeline) -> Result<u64> {
    let usage = timeline.usage.context("no usage came although it was asked for")?;
    let prompt = json!({ "model": endpoint.model, "messages": ask.body["messages"] });
    let count = endpoint.post("/tokenize", &prompt)?["count"].as_u64();
    ensure!(
        count == Some(usage.prompt_tokens),
        "usage tells {} prompt tokens, /tokenize {count:?}",
        usage.prompt_tokens
    );
    // The token that ends a sequence is counted but carries no text.
    let ended = timeline.finish_reason.as_deref() == Some("stop");
    let num_scored = timeline.scored_tokens.len() as u64;
    let silent = usage.completion_tokens.checked_sub(num_scored);
    ensure!(
        silent == Some(0) || (ended && silent == Some(1)),
        "usage tells {} completion tokens, {} came, finish_reason {:?}",
        usage.completion_tokens,
        num_scored,
        timeline.finish_reason
    );
    let max_tokens = ask.body["max_tokens"].as_u64();
    ensure!(
        ended || max_tokens == Some(usage.completion_tokens),
        "finish_reason {:?} after {} of {max_tokens:?} tokens",
        timeline.finish_reason,
        usage.completion_tokens
    );
    Ok(usage.completion_tokens)
}

/// Takes the first conversation whose answer is long enough and reads back as the same tokens.
fn second_turn(endpoint: &Endpoint) -> Result<String> {
    for number in 20_000..20_004 {
        let mut ask = chat(number, 64, Stop::AtEnd);
        let first = crate::stream(endpoint, &ask)?;
        let counted = first.usage.context("the first turn has no usage")?;
        ask.body["messages"] = json!([
            ask.body["messages"][0],
            { "role": "assistant", "content": first.text },
            { "role": "user", "content": "And then?" },
        ]);
        let prompt = token_texts(endpoint, &ask.body["messages"])?;
        let reusable = reusable_tokens(counted, &first.scored_tokens, &prompt);
        if reusable < counted.prompt_tokens + MIN_ANSWER {
            continue;
        }
        ask.body["max_tokens"] = 8.into();
        let second =
            crate::stream(endpoint, &ask)?.usage.context("the second turn has no usage")?;
        let (cached, whole) = (second.cached_tokens, second.prompt_tokens);
        let seen = format!(
            "{cached} of {whole} prompt tokens cached; the first turn had {} and answered {}",
            counted.prompt_tokens, counted.completion_tokens
        );
        ensure!(cached >= reusable / BLOCK * BLOCK, "{seen}, {reusable} of them the same");
        ensure!(cached < whole, "{seen}: nothing was left to compute");
        return Ok(seen);
    }
    anyhow::bail!("no answer reads back as the tokens it was made of")
}

pub(crate) fn token_texts(endpoint: &Endpoint, messages: &Value) -> Result<Vec<String>> {
    let ask = json!({ "model": endpoint.model, "messages": messages, "return_token_strs": true });
    let texts = endpoint.post("/tokenize", &ask)?["token_strs"].take();
    serde_json::from_value(texts).context("/tokenize gives no token_strs")
}

/// How much of the second turn's prompt the first turn computed: its prompt, and its answer up to
/// where that reads back differently. The answer's last token was never an input.
fn reusable_tokens(first: Usage, answer: &[String], second_prompt: &[String]) -> u64 {
    let read_back = second_prompt.iter().skip(first.prompt_tokens as usize);
    let num_same = answer.iter().zip(read_back).take_while(|(made, read)| made == read).count();
    first.prompt_tokens + (num_same as u64).min(first.completion_tokens.saturating_sub(1))
}

/// The cache of prefixes fills while the first requests run; from then on nothing may grow.
fn flat_memory(endpoint: &Endpoint, plan: CheckPlan, pid: u32) -> Result<String> {
    let run = |start: u64, count: usize| -> Result<u64> {
        let numbers = start..start + count as u64;
        let asks: Vec<Ask> = numbers.map(|i| chat(i, 2, Stop::AtEnd)).collect();
        all_ok(&run_crowd(endpoint, &asks, 16, &|_| ()))?;
        Ok(read_memory(pid)?.anonymous)
    };
    let warm = run(30_000, plan.num_requests / 2)?;
    let half = run(40_000, plan.num_requests / 2)?;
    let end = run(50_000, plan.num_requests - plan.num_requests / 2)?;
    let growth = end as f64 / warm as f64 - 1.0;
    let mib = |bytes: u64| bytes >> 20;
    let seen = format!(
        "{} MiB warm, {} MiB halfway, {} MiB after {} requests ({:+.1} %)",
        mib(warm),
        mib(half),
        mib(end),
        plan.num_requests,
        growth * 100.0
    );
    ensure!(growth <= MAX_GROWTH, "{seen}");
    Ok(seen)
}

pub(crate) fn all_ok(crowd: &Crowd) -> Result<()> {
    let mut errors = crowd.results.iter().filter_map(|result| result.as_ref().err());
    match errors.next() {
        Some(first) => anyhow::bail!("{} requests failed, first: {first:#}", 1 + errors.count()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Usage, reusable_tokens};

    #[test]
    fn an_answer_counts_up_to_where_it_reads_back_differently() {
        let texts = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
        let first = Usage { prompt_tokens: 2, cached_tokens: 0, completion_tokens: 4 };
        for (answer, second_prompt, expected) in [
            ("a|b|c|d", "p|q|a|b|c|d|end|more", 5),
            ("a|b|c|d", "p|q|a|bc|d|end|more", 3),
            // The token that ended the answer is not scored.
            ("a|b|c", "p|q|a|b|c|end|more", 5),
            ("a|b|c|d", "p|q|x|y", 2),
        ] {
            let tokens = reusable_tokens(first, &texts(answer), &texts(second_prompt));
            assert_eq!(tokens, expected, "{answer} in {second_prompt}");
        }
    }
}
