//! `wrk`, which puts load on a server and takes little of the machine for it.
//!
//! Streams too are its requests: it reads an answer's pieces to their end without a look at them,
//! which is less work than any reading of events is. How many tokens came is told by the bytes, so
//! those of streams that `wrk` left at its end count, too: an answer that was read alone before
//! says how many bytes a token has. Whether tokens come alone or several in a piece of HTTP changes
//! that by 3 % at most.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

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
/// Of one, at most.
const MAX_ANSWER_BYTES: u64 = 64 << 20;
/// Each piece of a stream with text has it once.
const TEXT: &str = "\"content\":\"";
/// Before the line that the script writes.
const MARK: &str = "seen ";

/// What it saw, as its script writes it.
#[derive(Deserialize)]
struct Told {
    requests: f64,
    bytes: f64,
    duration_us: f64,
    /// Connections and answers that failed.
    errors: u64,
    p50_us: f64,
    p99_us: f64,
}

/// Puts `load` on `endpoint`; `pids` are the server's.
pub(crate) fn run(endpoint: &Endpoint, load: &Load, pids: &[u32]) -> Result<Seen> {
    let num_bytes = answer(endpoint, load)?;
    let mut script = tempfile::Builder::new().suffix(".lua").tempfile_in(repo::scratch())?;
    script.write_all(lua(endpoint, load).as_bytes())?;
    let wrk = |seconds: u64| {
        let mut command = Command::new("wrk");
        // One thread of it is enough, and takes the least.
        command.args(["-t", "1", "-c", &load.connections.to_string()]);
        command.args(["-d", &format!("{seconds}s"), "--timeout", "600s", "-s"]);
        command.arg(script.path()).arg(format!("{}{}", endpoint.base_url, load.path));
        shell::run_quiet(load.name, &mut command)
    };
    wrk(WARM_UP_S)?;
    let before = ours::processor_us(pids);
    let output = wrk(load.seconds)?;
    let used = ours::processor_us(pids) - before;
    let line = output.lines().find_map(|line| line.strip_prefix(MARK));
    let told: Told = serde_json::from_str(line.context("wrk did not run its script")?)?;
    // Of a chat the whole answers count.
    let requests = if load.is_stream() { told.bytes / num_bytes } else { told.requests };
    ensure!(requests > 0.0, "no answer came in {} s", load.seconds);
    let requests_per_s = requests / told.duration_us * 1e6;
    Ok(Seen {
        load: load.name,
        requests_per_s,
        tokens_per_s: requests_per_s * load.num_tokens as f64,
        p50_ms: told.p50_us / 1e3,
        p99_ms: told.p99_us / 1e3,
        cpu_us: used / requests,
        failed: told.errors,
    })
}

impl Load {
    fn is_stream(&self) -> bool {
        self.body["stream"] == true
    }
}

/// Bytes of one answer with its head, as they come; it must have the tokens that are counted.
fn answer(endpoint: &Endpoint, load: &Load) -> Result<f64> {
    let address = endpoint.base_url.strip_prefix("http://").context("only http:// is spoken")?;
    let key = endpoint.api_key.as_ref();
    let auth = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let (path, body) = (load.path, load.body.to_string());
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{auth}Content-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut bytes = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    ensure!(text.starts_with("HTTP/1.1 200 "), "{path} answered {}", shell::tail(&text, 5));
    let told = match load.is_stream() {
        true => text.matches(TEXT).count(),
        false => {
            let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let answer: Value = serde_json::from_str(body)?;
            answer["usage"]["completion_tokens"].as_u64().unwrap_or(0) as usize
        }
    };
    // Some streams begin or end with a piece whose text is empty.
    let expected = load.num_tokens..=load.num_tokens + 2 * usize::from(load.is_stream());
    ensure!(expected.contains(&told), "{told} tokens came, not {}", load.num_tokens);
    Ok(bytes.len() as f64)
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
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format(
    '{MARK}{{"requests": %d, "bytes": %d, "duration_us": %d, "errors": %d, "p50_us": %d, ' ..
    '"p99_us": %d}}\n', summary.requests, summary.bytes, summary.duration, failed,
    latency:percentile(50), latency:percentile(99)))
end
"#,
        auth.unwrap_or_default()
    )
}
