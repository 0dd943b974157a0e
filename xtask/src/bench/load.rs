//! `cargo xtask bench load`: how long it is from the start of a process to its first token.
//!
//! Invariant: what is timed is the whole process (`agentbase run` with one token), with the model's
//! files in the page cache; first starts, which pack weights, and later ones, which map them, are
//! told apart, and every run is printed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

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
    println!("| start to the end of one token | median, s | all, s |\n|---|---:|---|");
    for (name, mut times) in [("weights packed", first), ("weights mapped", later)] {
        let all: Vec<_> = times.iter().map(|time| format!("{:.3}", time.as_secs_f64())).collect();
        times.sort_unstable();
        let median = times[times.len() / 2].as_secs_f64();
        println!("| {name} | {median:.3} | {} |", all.join(", "));
    }
    Ok(())
}

fn start(binary: &Path, data_dir: &Path) -> Result<Duration> {
    let mut command = Command::new(binary);
    command.arg("--data-dir").arg(data_dir).args(["run", "model", "Once upon a time"]);
    command.args(["--max-tokens", "1", "--temperature", "0", "--kv-cache", "256MiB"]);
    let began = Instant::now();
    let output = command.output()?;
    let took = began.elapsed();
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "it failed: {}", shell::tail(&error, 20));
    Ok(took)
}
