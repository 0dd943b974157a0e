//! llama.cpp and ik_llama.cpp by their own programs, which differ in how some settings are written.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::contend::Measurement;
use super::http;
use super::variant::Contender;
use super::work::{Figure, Figures, OUTPUT_TOKENS, PROMPT_TOKENS, STREAMS, Work};
use crate::bench::peers::server::{Served, free_port};
use crate::weights;

pub(super) fn measure(measurement: &Measurement<'_>) -> Result<Figures> {
    let rate = match measurement.work {
        Work::Prefill(_) | Work::Decode(_) => alone(measurement)?,
        Work::Engine(streams) => batched(measurement, streams)?,
        Work::Serve | Work::Prefix | Work::Start => return serve(measurement),
        Work::Step => bail!("only ours is asked for its steps"),
    };
    Ok([(Figure::TokensPerS, rate)].into())
}

fn is_ik(measurement: &Measurement<'_>) -> bool {
    measurement.contender == Contender::IkLlamaCpp
}

/// One of its programs with the arguments that all of them share.
fn program(measurement: &Measurement<'_>, name: &str) -> Result<Command> {
    let Measurement { setup, variant, .. } = measurement;
    let bin = setup.bin(measurement.contender, measurement.section)?;
    let mut command = setup.command(&bin.join(name));
    let threads = setup.threads.to_string();
    command.arg("-m").arg(setup.gguf(measurement.section, variant.weights)).args(["-t", &threads]);
    let kv = if variant.kv_8bit { "q8_0" } else { "f16" };
    command.args(["-ctk", kv, "-ctv", kv]);
    command.args(["-fa", if variant.flash { "1" } else { "0" }]);
    Ok(command)
}

/// `llama-bench`: one sequence.
fn alone(measurement: &Measurement<'_>) -> Result<f64> {
    let mut command = program(measurement, "llama-bench")?;
    command.args(["-r", measurement.work.repeat(), "-o", "json"]);
    let repack = if measurement.variant.repack { "1" } else { "0" };
    match measurement.work {
        Work::Prefill(tokens) => {
            command.args(["-n", "0", "-p", &tokens.to_string()]);
        }
        Work::Decode(depth) if is_ik(measurement) => {
            let generate = Work::generate(depth);
            command.args(["-p", "0", "-n", "0", "-gp", &format!("{depth},{generate}")]);
        }
        Work::Decode(depth) => {
            command.args(["-p", "0", "-n", Work::generate(depth), "-d", &depth.to_string()]);
        }
        other => bail!("{other:?} is not for llama-bench"),
    }
    if is_ik(measurement) {
        command.args(["-rtr", repack]);
    }
    let text = measurement.output(&mut command)?;
    // Before and after the list there may be words about the machine.
    let list = text.find("[\n").zip(text.rfind(']')).context("it printed no list")?;
    let list: Value = serde_json::from_str(&text[list.0..=list.1])?;
    list[0]["avg_ts"].as_f64().context("it measured nothing")
}

/// `llama-batched-bench`: output tokens over the time of prompts and answers.
fn batched(measurement: &Measurement<'_>, streams: usize) -> Result<f64> {
    let mut command = program(measurement, "llama-batched-bench")?;
    let context = streams * (PROMPT_TOKENS + OUTPUT_TOKENS);
    command.args(["-tb", &measurement.setup.threads.to_string(), "-c", &context.to_string()]);
    command.args(["-b", "2048", "-npp", &PROMPT_TOKENS.to_string()]);
    command.args(["-ntg", &OUTPUT_TOKENS.to_string(), "-npl", &streams.to_string()]);
    if measurement.variant.repack {
        command.arg("-rtr");
    }
    let text = measurement.output(&mut command)?;
    let seconds = batched_seconds(&text).context("it printed no row")?;
    Ok((streams * OUTPUT_TOKENS) as f64 / seconds)
}

/// The column `T s` of its table's only row.
fn batched_seconds(text: &str) -> Option<f64> {
    let mut rows = text.lines().filter(|line| line.starts_with('|')).map(|line| {
        line.trim_matches('|').split('|').map(|cell| cell.trim().parse().ok()).collect::<Vec<_>>()
    });
    rows.find_map(|row: Vec<Option<f64>>| row.get(8).copied().flatten())
}

fn serve(measurement: &Measurement<'_>) -> Result<Figures> {
    let (work, variant) = (measurement.work, measurement.variant);
    let port = free_port()?;
    let slots = variant.slots.unwrap_or(if work == Work::Start { 1 } else { STREAMS });
    let context = slots * http::context_tokens(work);
    let mut command = program(measurement, "llama-server")?;
    command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--alias", weights::MODEL_NAME, "-np", &slots.to_string()]);
    command.args(["-tb", &measurement.setup.threads.to_string(), "-c", &context.to_string()]);
    if variant.repack {
        command.arg("-rtr");
    }
    match work {
        // The prompt of a warming run would only delay the first answer.
        Work::Start => _ = command.args(["--no-warmup", "-cram", "0"]),
        // No prompt comes twice: a copy of each would only cost memory.
        Work::Serve => _ = command.args(["-cram", "0"]),
        // Both caches are on: those of the slots and that in memory.
        _ => {}
    }
    http::measure(work, &mut Served::spawn(&mut command, port)?)
}

#[cfg(test)]
mod tests {
    use super::batched_seconds;

    #[test]
    fn the_whole_time_of_a_batched_run_is_found() {
        let text = "main: n_kv_max = 512\n\n\
            |  PP |  TG |  B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s |    T s |  S t/s |\n\
            |-----|-----|----|------|--------|----------|--------|----------|--------|--------|\n\
            | 128 | 128 | 16 | 4096 |  5.432 |   377.00 | 14.321 |   143.00 | 19.753 | 207.36 |\n";
        assert_eq!(batched_seconds(text), Some(19.753));
        assert_eq!(batched_seconds("failed"), None);
    }
}
