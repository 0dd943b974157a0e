//! What a reader of results must know of the machine and the moment.

use std::process::Command;

use serde::Serialize;

use crate::repo;

/// Where and when something was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) command: String,
    pub(crate) cpu: String,
    pub(crate) num_cpus: usize,
    pub(crate) memory_gib: f64,
}

impl Machine {
    /// This machine, now.
    pub(crate) fn here() -> Self {
        let args: Vec<String> = std::env::args().skip(1).collect();
        Self {
            date: date(),
            commit: repo::commit(),
            command: format!("cargo xtask {}", args.join(" ")),
            cpu: proc_field("/proc/cpuinfo", "model name"),
            num_cpus: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: memory_gib(),
        }
    }

    /// The day of [`date`](Self::date).
    pub(crate) fn day(&self) -> &str {
        self.date.get(..10).unwrap_or(&self.date)
    }

    /// Machine, commit and command in a sentence.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} × {}, {:.0} GiB; commit {}; `{}`.",
            self.num_cpus, self.cpu, self.memory_gib, self.commit, self.command
        )
    }
}

/// A number as tables show it.
pub(crate) fn number(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn date() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%MZ"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|_| "unknown".to_owned())
}

fn proc_field(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
    value.unwrap_or("unknown").to_owned()
}

fn memory_gib() -> f64 {
    let field = proc_field("/proc/meminfo", "MemTotal");
    let kib: f64 = field.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0.0);
    kib / f64::from(1 << 20)
}
