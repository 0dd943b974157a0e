//! Our server with an engine that answers at once: the bench target `gateway` of `server-access`.
//!
//! Invariant: it ends when the value is dropped, since it serves while its standard input is open.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use loadtests::Endpoint;
use serde_json::Value;

use crate::{repo, shell};

/// What it serves.
pub(crate) const MODEL: &str = "mock";
/// Times in `/proc` are in hundredths of a second on every Linux.
const US_PER_TICK: f64 = 1e4;

/// Builds it as a release; cargo shows its own progress.
pub(crate) fn build() -> Result<PathBuf> {
    let mut command = repo::cargo_command();
    command.args(["build", "--release", "--locked", "-p", "server-access", "--bench", "gateway"]);
    command.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let line = shell::describe(&command);
    let output = command.output().with_context(|| format!("cannot start `{line}`"))?;
    anyhow::ensure!(output.status.success(), "`{line}` failed ({})", output.status);
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages.lines().rev().find_map(|message| {
        let message: Value = serde_json::from_str(message).ok()?;
        let is_ours = message["target"]["name"] == "gateway";
        message["executable"].as_str().filter(|_| is_ours).map(PathBuf::from)
    });
    executable.context("cargo names no program that it built")
}

/// A running one.
pub(crate) struct Ours {
    child: Child,
    address: String,
    key: Option<String>,
}

impl Ours {
    /// Its log is written to a file, as it is where it serves.
    pub(crate) fn start(binary: &Path, options: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(repo::scratch())?;
        let log = std::fs::File::create(repo::scratch().join("gateway.log"))?;
        let mut command = Command::new(binary);
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let line = shell::describe(&command);
        let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
        let stdout = child.stdout.take().context("its output is piped")?;
        let mut told = String::new();
        BufReader::new(stdout).take(4096).read_line(&mut told)?;
        let told = told.trim().split_once(' ').with_context(|| {
            format!(
                "`{line}` did not get ready; its log is {}/gateway.log",
                repo::scratch().display()
            )
        });
        let (address, key) = match told {
            Ok((address, key)) => (address.to_owned(), (key != "-").then(|| key.to_owned())),
            Err(error) => {
                end(&mut child);
                return Err(error);
            }
        };
        Ok(Self { child, address, key })
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(&format!("http://{}", self.address), MODEL, self.key.clone())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// It holds nothing worth draining; nobody is left to hear an error.
fn end(child: &mut Child) {
    child.kill().ok();
    child.wait().ok();
}

/// Processor time, user and system, of these processes and their children so far.
pub(crate) fn processor_us(pids: &[u32]) -> f64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = processes.filter_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
        let (parent, ticks) = parse(&stat)?;
        (pids.contains(&pid) || pids.contains(&parent)).then_some(ticks)
    });
    stats.sum::<f64>() * US_PER_TICK
}

/// Parent and ticks of a line of `/proc/PID/stat`.
fn parse(stat: &str) -> Option<(u32, f64)> {
    // The name may have blanks and brackets of its own.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |idx: usize| fields.get(idx)?.parse::<u32>().ok();
    Some((number(1)?, f64::from(number(11)?) + f64::from(number(12)?)))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_name_may_look_like_fields() {
        let stat = "7 (a b) 9 (c)) S 5 7 7 0 -1 4194560 100 0 0 0 120 30 0 0 20 0 4 0 9 0 0";
        assert_eq!(parse(stat), Some((5, 150.0)));
        assert_eq!(parse("7 (a"), None);
    }
}
