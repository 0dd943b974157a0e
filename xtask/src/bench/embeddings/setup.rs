//! Everything that must be there before something is measured.
//!
//! Invariant: the peers' files are made of the weights that ours reads, once, and nothing is made
//! while something is measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::work::{Reference, WORKS, Work};
use crate::bench::peers;
use crate::{repo, server, shell, weights};

/// Where everything lies.
pub(super) struct Setup {
    pub(super) threads: usize,
    /// Few passes and texts.
    pub(super) quick: bool,
    pub(super) python: PathBuf,
    pub(super) reference: Reference,
    ours: PathBuf,
    data_dir: PathBuf,
    /// Token ids and the peers' files.
    folder: PathBuf,
}

/// What a measurement prints.
pub(super) struct Printed {
    pub(super) tokens_per_s: f64,
    pub(super) vectors: Vec<Vec<f32>>,
}

impl Setup {
    /// Makes and fetches what is missing.
    pub(super) fn obtain(ours: PathBuf, threads: usize, quick: bool) -> Result<Self> {
        let reference = Reference::read(&repo::root().join("benches/minilm_reference.json"))?;
        let model = weights::obtain_minilm()?;
        weights::check_sha256(&model.join("model.safetensors"), &reference.sha256)?;
        let setup = Self {
            threads,
            quick,
            python: peers::embeddings::obtain()?,
            reference,
            ours,
            data_dir: repo::scratch().join("bench-data"),
            folder: peers::folder().join("minilm"),
        };
        std::fs::create_dir_all(&setup.folder)?;
        server::import_embedder(&setup.ours, &setup.data_dir)?;
        setup.convert(&model)?;
        for work in WORKS {
            setup.write_tokens(&setup.tokens(work), &[setup.reference.tokens(work)?])?;
        }
        Ok(setup)
    }

    /// The peers' files.
    fn convert(&self, model: &Path) -> Result<()> {
        for fused in [false, true] {
            let to = self.onnx(fused);
            if to.exists() {
                continue;
            }
            let part = to.with_extension("part");
            let mut convert = Command::new(&self.python);
            convert.arg(repo::root().join("benches/minilm_to_onnx.py")).arg(model).arg(&part);
            convert.args(fused.then_some("--fused"));
            shell::run_quiet("Writing all-MiniLM-L6-v2 as ONNX", &mut convert)?;
            std::fs::rename(&part, &to)?;
        }
        Ok(())
    }

    /// The peers' file as an exporter writes it, or with ONNX Runtime's own operators.
    pub(super) fn onnx(&self, fused: bool) -> PathBuf {
        self.folder.join(if fused { "fused.onnx" } else { "plain.onnx" })
    }

    /// The tokens of a work, one batch.
    pub(super) fn tokens(&self, work: Work) -> PathBuf {
        self.file(&format!("{}x{}.json", work.texts, work.tokens))
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes batches as contenders read them.
    pub(super) fn write_tokens(&self, path: &Path, batches: &[Vec<&[u32]>]) -> Result<()> {
        std::fs::write(path, serde_json::to_vec(batches)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Our binary, with a subcommand and its arguments.
    pub(super) fn ours(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.ours);
        command.arg("--data-dir").arg(&self.data_dir).args(args);
        command.args(["--threads", &self.threads.to_string()]);
        command
    }

    /// `agentbase bench` of the batches in a file.
    pub(super) fn our_bench(&self, tokens: &Path, repeat: usize) -> Result<Printed> {
        let mut command = self.ours(&["bench", weights::EMBEDDER_NAME, "--json"]);
        command.args(["--repeat", &repeat.to_string(), "--tokens"]).arg(tokens);
        printed(&mut command)
    }
}

/// Runs a measurement to its end.
pub(super) fn printed(command: &mut Command) -> Result<Printed> {
    let output = command.stdin(std::process::Stdio::null()).output()?;
    let (text, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let line = shell::describe(command);
    ensure!(output.status.success(), "`{line}` failed:\n{}", shell::tail(&errors, 5));
    let json = text.lines().rfind(|line| line.starts_with('{')).context("it printed no JSON")?;
    let mut report: Value = serde_json::from_str(json)?;
    let rate = report["rows"][0]["tokens_per_second"].as_f64().context("it measured nothing")?;
    let vectors = serde_json::from_value(report["vectors"].take())?;
    Ok(Printed { tokens_per_s: rate, vectors })
}
