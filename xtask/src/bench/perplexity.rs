//! `cargo xtask bench perplexity`: how well we and llama.cpp predict the same text with the same
//! file.
//!
//! Invariant: both are given the same tokens in the same chunks and score the same ones, so that
//! what differs is arithmetic alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::peers::llama_cpp;
use crate::{repo, server, shell, tools, weights};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The text [default: the excerpt of WikiText-2 in engine/llm/testdata]
    #[arg(long)]
    file: Option<PathBuf>,
    /// The model, a GGUF file [default: SmolLM2-135M-Instruct]
    #[arg(long)]
    model: Option<PathBuf>,
    /// Tokens per chunk
    #[arg(long, default_value_t = 512)]
    context: usize,
    /// Score so many chunks from the start [default: all]
    #[arg(long)]
    chunks: Option<usize>,
    /// Measure this build of ours instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// One way to run either, with what it takes on the command line.
struct Way {
    name: &'static str,
    extra: &'static [&'static str],
}

const OURS: &[Way] = &[Way { name: "agentbase", extra: &[] }];
const THEIRS: &[Way] = &[
    Way { name: "llama.cpp", extra: &[] },
    Way { name: "llama.cpp, KV in 8 bits", extra: &["-fa", "on", "-ctk", "q8_0", "-ctv", "q8_0"] },
];

/// A perplexity and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Estimate {
    value: f64,
    error: f64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    tools::require_c_compiler()?;
    let excerpt = || repo::root().join("engine/llm/testdata/wikitext/excerpt.txt");
    let file = args.file.clone().unwrap_or_else(excerpt);
    let gguf = args.model.clone().map_or_else(weights::obtain, Ok)?;
    let binary = args.binary.clone().map_or_else(|| server::build("release"), Ok)?;
    let llama_perplexity = llama_cpp::obtain()?.join("llama-perplexity");
    let folder = server::fresh_data_dir()?;
    let mut import = Command::new(&binary);
    import.arg("--data-dir").arg(folder.path()).args(["model", "import"]).arg(&gguf);
    shell::run_quiet("Importing the model", import.args(["--name", "model"]))?;
    let mut told = Vec::new();
    for way in OURS {
        let mut command = Command::new(&binary);
        command.arg("--data-dir").arg(folder.path()).args(["perplexity", "model", "--json"]);
        command.arg("--file").arg(&file).args(["--context", &args.context.to_string()]);
        command.args(args.chunks.iter().flat_map(|n| ["--chunks".to_owned(), n.to_string()]));
        let output = shell::run_quiet(way.name, command.args(way.extra))?;
        told.push((way.name, ours(&output)?));
    }
    for way in THEIRS {
        let mut command = peer_command(&llama_perplexity, &gguf, &file, args);
        let output = shell::run_quiet(way.name, command.args(way.extra))?;
        told.push((way.name, theirs(&output)?));
    }
    println!("{}", table(&told, OURS.len()));
    Ok(())
}

fn peer_command(binary: &Path, gguf: &Path, file: &Path, args: &Args) -> Command {
    // What it logs goes to the error stream, and `run_quiet` hands on the other one.
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" 2>&1", "sh"]).arg(binary).arg("-m").arg(gguf);
    command.arg("-f").arg(file).args(["-c", &args.context.to_string()]);
    command.args(args.chunks.iter().flat_map(|n| ["--chunks".to_owned(), n.to_string()]));
    command
}

fn ours(output: &str) -> Result<Estimate> {
    let report: Value = serde_json::from_str(output).context("our report is no JSON")?;
    let field = |name: &str| {
        report[name].as_f64().with_context(|| format!("our report has no number `{name}`"))
    };
    Ok(Estimate { value: field("perplexity")?, error: field("error")? })
}

/// Reads `Final estimate: PPL = 28.4274 +/- 1.26856`.
fn theirs(output: &str) -> Result<Estimate> {
    let estimate = || {
        let (_, told) = output.split_once("Final estimate: PPL")?;
        let (value, error) = told.lines().next()?.split_once('=')?.1.split_once("+/-")?;
        Some(Estimate { value: value.trim().parse().ok()?, error: error.trim().parse().ok()? })
    };
    estimate()
        .with_context(|| format!("llama-perplexity told no estimate:\n{}", shell::tail(output, 20)))
}

/// Each beside its distance from the first of `told` after the first `num_ours`.
fn table(told: &[(&str, Estimate)], num_ours: usize) -> String {
    let (name, reference) = told[num_ours];
    let mut text = format!("| | perplexity | ± | from {name} |\n|---|---:|---:|---:|\n");
    for (name, Estimate { value, error }) in told {
        let off = 100.0 * (value / reference.value - 1.0);
        text.push_str(&format!("| {name} | {value:.4} | {error:.4} | {off:+.3} % |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Estimate, ours, table, theirs};

    #[test]
    fn estimates_are_read_as_either_tells_them() {
        let told = "[18]27.8870,[19]28.4274,\n1.53 I Final estimate: PPL = 28.4274 +/- 1.26856\n\n";
        assert_eq!(theirs(told).unwrap(), Estimate { value: 28.4274, error: 1.26856 });
        let error = theirs("you need at least 1024 tokens").unwrap_err().to_string();
        assert!(error.contains("at least 1024 tokens"), "{error}");
        let told = r#"{"model": "m", "perplexity": 28.25, "error": 1.5}"#;
        assert_eq!(ours(told).unwrap(), Estimate { value: 28.25, error: 1.5 });
        assert!(ours(r#"{"perplexity": null}"#).is_err());
    }

    #[test]
    fn distances_are_from_the_first_of_theirs() {
        let estimate = |value| Estimate { value, error: 1.0 };
        let told = [("a", estimate(9.0)), ("b", estimate(10.0)), ("c", estimate(10.1))];
        let text = table(&told, 1);
        assert!(text.starts_with("| | perplexity | ± | from b |\n"), "{text}");
        assert!(text.contains("| a | 9.0000 | 1.0000 | -10.000 % |\n"), "{text}");
        assert!(text.contains("| b | 10.0000 | 1.0000 | +0.000 % |\n"), "{text}");
    }
}
