//! `cargo xtask bench load`: how long it is from the start of a process to its first token.
//!
//! Invariant: what is timed is the process (`agentbase run` with one token) as whoever started it
//! sees it, until it writes the token and until it has ended, with the model's files in the page
//! cache; first starts, which pack weights, and later ones, which map them, are told apart, and
//! every run is printed.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::machine::Machine;
use crate::{server, shell, tools, weights};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The model, a GGUF file or a Hugging Face folder [default: SmolLM2-135M-Instruct]
    #[arg(long)]
    model: Option<PathBuf>,
    /// Starts of each kind
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Measure this build of ours instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    tools::require_c_compiler()?;
    let model = args.model.clone().map_or_else(weights::obtain, Ok)?;
    let binary = args.binary.clone().map_or_else(|| server::build("release"), Ok)?;
    let folder = server::fresh_data_dir()?;
    let mut import = Command::new(&binary);
    import.arg("--data-dir").arg(folder.path()).args(["model", "import"]).arg(&model);
    shell::run_quiet("Importing the model", import.args(["--name", "model"]))?;
    let packed = folder.path().join("packed");
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        if packed.exists() {
            std::fs::remove_dir_all(&packed)?;
        }
        first.push(start(&binary, folder.path())?);
        ensure!(packed.exists(), "the first start kept no packed weights");
        later.push(start(&binary, folder.path())?);
    }
    println!("{}\n{}\n", model.display(), Machine::here().line());
    println!("| from the start, s | to the token | all | to the end | all |");
    println!("|---|---:|---|---:|---|");
    for (name, starts) in [("weights packed", first), ("weights mapped", later)] {
        let (token, end) = (row(&starts, |start| start.token), row(&starts, |start| start.end));
        println!("| {name} | {token} | {end} |");
    }
    Ok(())
}

/// The median of what `time` tells of each start, and all of it.
fn row(starts: &[Start], time: impl Fn(&Start) -> Duration) -> String {
    let mut times: Vec<_> = starts.iter().map(|start| time(start).as_secs_f64()).collect();
    let all: Vec<_> = times.iter().map(|time| format!("{time:.3}")).collect();
    times.sort_unstable_by(f64::total_cmp);
    format!("{:.3} | {}", times[times.len() / 2], all.join(", "))
}

/// When a process wrote its token, and when it had ended, which is after packed weights are kept.
struct Start {
    token: Duration,
    end: Duration,
}

fn start(binary: &Path, data_dir: &Path) -> Result<Start> {
    let mut command = Command::new(binary);
    command.arg("--data-dir").arg(data_dir).args(["run", "model", "Once upon a time"]);
    command.args(["--max-tokens", "1", "--temperature", "0", "--kv-cache", "256MiB"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn()?;
    let mut stdout = child.stdout.take().context("its output is piped")?;
    // Where it ends without a token, it has failed, and its errors say why.
    let written = stdout.read(&mut [0])?;
    let token = began.elapsed();
    // The line's end is written to a pipe that is open.
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest)?;
    let output = child.wait_with_output()?;
    let end = began.elapsed();
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && written > 0, "it failed: {}", shell::tail(&error, 20));
    Ok(Start { token, end })
}
