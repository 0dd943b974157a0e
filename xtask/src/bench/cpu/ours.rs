//! Ours: `agentbase bench` and `agentbase serve`, with their defaults.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::contend::Measurement;
use super::http;
use super::setup::Setup;
use super::work::{Figure, Figures, STREAMS, Section, Work};
use crate::bench::peers::server::{Served, free_port};

/// Forces what ours uses of the processor.
const ISA_VARIABLE: &str = "AGENTBASE_ISA";

pub(super) fn measure(measurement: &Measurement<'_>) -> Result<Figures> {
    let streams = STREAMS.to_string();
    let n;
    let args: &[&str] = match measurement.work {
        Work::Prefill(tokens) => {
            n = tokens.to_string();
            &["--prompt", &n, "--depth"]
        }
        Work::Decode(depth) => {
            n = depth.to_string();
            &["--prompt", "--batch", "1", "--generate", Work::generate(depth), "--depth", &n]
        }
        Work::Step => &["--prompt", "--batch", &streams, "--generate", "32", "--depth", "128"],
        Work::Engine(streams) => {
            n = streams.to_string();
            &["--prompt", "--depth", "--streams", &n]
        }
        Work::Serve | Work::Prefix | Work::Start => return serve(measurement),
    };
    let mut command = command(measurement);
    command.args(["bench", Setup::name(measurement.section), "--json"]).args(args);
    command.args(["--repeat", measurement.work.repeat()]);
    command.args(["--threads", &measurement.setup.threads.to_string()]);
    let text = measurement.output(&mut command)?;
    let json = text.find('{').zip(text.rfind('}')).context("it printed no JSON")?;
    let report: Value = serde_json::from_str(&text[json.0..=json.1])?;
    let rate = report["rows"][0]["tokens_per_second"].as_f64().context("it measured nothing")?;
    Ok([(Figure::TokensPerS, rate)].into())
}

fn serve(measurement: &Measurement<'_>) -> Result<Figures> {
    let port = free_port()?;
    let mut command = command(measurement);
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--no-auth"]);
    command.args(["--threads", &measurement.setup.threads.to_string()]);
    command.args(["--model", Setup::name(measurement.section)]);
    http::measure(measurement.work, &mut Served::spawn(&mut command, port)?)
}

fn command(measurement: &Measurement<'_>) -> Command {
    let mut command = measurement.setup.command(&measurement.setup.ours);
    command.arg("--data-dir").arg(&measurement.setup.data_dir);
    if measurement.section == Section::Avx2 {
        command.env(ISA_VARIABLE, "avx2");
    }
    command
}
