//! OpenVINO GenAI by `benches/openvino_genai_bench.py`.
//!
//! It has no server: the work of serving gives only its memory, from the same number of streams
//! without HTTP, and the shared prefix is timed without HTTP too.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::contend::Measurement;
use super::work::{Figure, Figures, OUTPUT_TOKENS, PREFIX_OUTPUT_TOKENS, STREAMS, Work};
use crate::repo;

pub(super) fn measure(measurement: &Measurement<'_>) -> Result<Figures> {
    let Measurement { setup, variant, .. } = measurement;
    let mut command = setup.command(&setup.openvino);
    command.arg(repo::root().join("benches/openvino_genai_bench.py"));
    command.args(work_args(measurement.work)?);
    command.arg("--model").arg(setup.gguf(measurement.section, variant.weights));
    command.args(["--threads", &setup.threads.to_string()]);
    command.args(["--repeat", measurement.work.repeat()]);
    command.args(["--kv", if variant.kv_8bit { "u8" } else { "f16" }]);
    command.args(["--arithmetic", if variant.bf16 { "bf16" } else { "f32" }]);
    if measurement.work == Work::Start {
        return start(&mut command);
    }
    let text = measurement.output(&mut command)?;
    let line = text.lines().find(|line| line.starts_with('{')).context("it printed no figures")?;
    let mut figures: Figures = serde_json::from_str(line)?;
    if measurement.work == Work::Serve {
        figures.remove(&Figure::TokensPerS);
    }
    Ok(figures)
}

/// From starting the process to the line that it prints after its first token.
fn start(command: &mut std::process::Command) -> Result<Figures> {
    let started = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let out = child.stdout.take().context("it has no standard output")?;
    let seen = BufReader::new(out).lines().map_while(Result::ok).any(|line| line.starts_with('{'));
    let seconds = started.elapsed().as_secs_f64();
    child.wait()?;
    if !seen {
        bail!("it ended without a token");
    }
    Ok([(Figure::StartS, seconds)].into())
}

fn work_args(work: Work) -> Result<Vec<String>> {
    let args = match work {
        Work::Start => "start".to_owned(),
        Work::Prefill(tokens) => format!("prefill --tokens {tokens}"),
        Work::Decode(depth) => {
            format!("decode --depth {depth} --tokens {}", Work::generate(depth))
        }
        Work::Engine(streams) => format!("engine --streams {streams} --tokens {OUTPUT_TOKENS}"),
        Work::Serve => format!("engine --streams {STREAMS} --tokens {OUTPUT_TOKENS}"),
        Work::Prefix => format!("prefix --streams {STREAMS} --tokens {PREFIX_OUTPUT_TOKENS}"),
        Work::Step => bail!("only ours is asked for its steps"),
    };
    Ok(args.split(' ').map(str::to_owned).collect())
}
