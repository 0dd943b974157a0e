//! `wrk`, which puts load on a server and takes little of the machine for it.
//!
//! Streams too are its requests: it reads an answer's pieces to their end without a look at them,
//! which is less work than any reading of events is; how many tokens there are in an answer was
//! looked up in one before. Invariant: an answer that is no success, or broke off, fails the run.

use std::io::Write;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use loadtests::Endpoint;
use serde::Deserialize;
use serde_json::Value;

use super::{Seen, ours};
use crate::{repo, shell};

/// What is asked, and by how many at once.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) connections: usize,
    pub(crate) seconds: u64,
    /// Of each answer.
    pub(crate) num_tokens: usize,
    pub(crate) body: Value,
}

/// Before what counts, so that pages, pools and connections are as they stay.
const WARM_UP_S: u64 = 1;
/// Before the line that the script writes.
const MARK: &str = "seen ";

/// What it saw, as its script writes it.
#[derive(Deserialize)]
struct Told {
    requests: f64,
    duration_us: f64,
    /// Connections and answers that failed.
    errors: u64,
    p50_us: f64,
    p99_us: f64,
}

/// Puts `load` on `endpoint`; `pids` are the server's.
pub(crate) fn run(endpoint: &Endpoint, load: &Load, pids: &[u32]) -> Result<Seen> {
    check(endpoint, load)?;
    let mut script = tempfile::Builder::new().suffix(".lua").tempfile_in(repo::scratch())?;
    script.write_all(lua(endpoint, load).as_bytes())?;
    let wrk = |seconds: u64| {
        let mut command = Command::new("wrk");
        // One thread of it is enough, and takes the least.
        command.args(["-t", "1", "-c", &load.connections.to_string()]);
        command.args(["-d", &format!("{seconds}s"), "--timeout", "30s", "-s"]);
        command.arg(script.path()).arg(format!("{}{}", endpoint.base_url, load.path));
        shell::run_quiet(load.name, &mut command)
    };
    wrk(WARM_UP_S)?;
    let before = ours::processor_us(pids);
    let output = wrk(load.seconds)?;
    let used = ours::processor_us(pids) - before;
    let line = output.lines().find_map(|line| line.strip_prefix(MARK));
    let told: Told = serde_json::from_str(line.context("wrk did not run its script")?)?;
    ensure!(told.errors == 0, "{} of {} requests failed", told.errors, told.requests);
    ensure!(told.requests > 0.0, "no answer was whole in {} s", load.seconds);
    let requests_per_s = told.requests / told.duration_us * 1e6;
    Ok(Seen {
        load: load.name,
        requests_per_s,
        tokens_per_s: requests_per_s * load.num_tokens as f64,
        p50_ms: told.p50_us / 1e3,
        p99_ms: told.p99_us / 1e3,
        cpu_us: used / told.requests,
    })
}

/// One answer has the tokens that are counted for each.
fn check(endpoint: &Endpoint, load: &Load) -> Result<()> {
    let text = endpoint.post_text(load.path, &load.body)?;
    let is_stream = load.body["stream"] == true;
    let told = match is_stream {
        true => {
            let pieces = text.lines().filter_map(|line| line.strip_prefix("data: {"));
            pieces.filter(|piece| piece.contains(r#""content":""#)).count()
        }
        false => {
            let answer: Value = serde_json::from_str(&text)?;
            answer["usage"]["completion_tokens"].as_u64().unwrap_or(0) as usize
        }
    };
    // Some begin with a piece that has no text.
    let extra = usize::from(is_stream);
    let expected = load.num_tokens..=load.num_tokens + extra;
    ensure!(expected.contains(&told), "{told} tokens came, not {}", load.num_tokens);
    Ok(())
}

/// Without a function for each request or answer: those would be most of what it does.
fn lua(endpoint: &Endpoint, load: &Load) -> String {
    let key = endpoint.api_key.as_ref();
    let auth = key.map(|key| format!("wrk.headers[\"Authorization\"] = \"Bearer {key}\"\n"));
    let body = load.body.to_string();
    format!(
        r#"wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
{}wrk.body = [==[{body}]==]
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{MARK}{{"requests": %d, "duration_us": %d, "errors": %d, "p50_us": %d, "p99_us": %d}}\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"#,
        auth.unwrap_or_default()
    )
}
