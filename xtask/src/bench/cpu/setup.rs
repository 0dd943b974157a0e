//! Everything that must be there before something is measured: builds, files, imported models.
//!
//! Invariant: made once, and nothing is made while something is measured.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::variant::{Contender, Weights};
use super::work::Section;
use crate::bench::peers::{self, llama_cpp, openvino};
use crate::{repo, server, shell, weights};

/// The name under which ours knows the BF16 folder.
pub(super) const BF16_NAME: &str = "smollm2-135m-instruct-bf16";

/// Where everything lies.
pub(super) struct Setup {
    pub(super) threads: usize,
    /// Program and first arguments that every contender is run by; often none.
    pub(super) under: Vec<String>,
    pub(super) ours: PathBuf,
    pub(super) data_dir: PathBuf,
    llama_cpp: PathBuf,
    llama_cpp_avx2: Option<PathBuf>,
    ik_llama_cpp: PathBuf,
    pub(super) openvino: PathBuf,
    gguf: PathBuf,
    /// Requantised files.
    models: PathBuf,
}

impl Setup {
    /// Builds and fetches what is missing for `sections`.
    pub(super) fn obtain(ours: PathBuf, threads: usize, sections: &[Section]) -> Result<Self> {
        let avx2 = sections.contains(&Section::Avx2);
        let setup = Self {
            threads,
            under: Vec::new(),
            ours,
            data_dir: repo::scratch().join("bench-data"),
            llama_cpp: llama_cpp::obtain()?,
            llama_cpp_avx2: avx2.then(llama_cpp::obtain_avx2).transpose()?,
            ik_llama_cpp: llama_cpp::obtain_ik()?,
            openvino: openvino::obtain()?,
            gguf: weights::obtain()?,
            models: peers::folder().join("models"),
        };
        setup.requantise()?;
        server::import_model(&setup.ours, &setup.data_dir)?;
        if sections.contains(&Section::Bf16) {
            setup.import_bf16()?;
        }
        Ok(setup)
    }

    /// llama.cpp's own files of the same model.
    fn requantise(&self) -> Result<()> {
        std::fs::create_dir_all(&self.models)?;
        for weights in [Weights::Q4_0, Weights::Q8_0, Weights::BF16, Weights::F16] {
            let to = self.gguf(weights);
            if to.exists() {
                continue;
            }
            let part = to.with_extension("part");
            let mut quantise = Command::new(self.llama_cpp.join("llama-quantize"));
            quantise.arg("--allow-requantize").args([&self.gguf, &part]);
            quantise.arg(format!("{weights:?}"));
            shell::run_quiet(&format!("Requantising to {weights:?}"), &mut quantise)?;
            std::fs::rename(&part, &to)?;
        }
        Ok(())
    }

    /// The BF16 weights as a safetensors folder, which is what ours reads.
    fn import_bf16(&self) -> Result<()> {
        let model = |args: &[&str]| {
            let mut command = Command::new(&self.ours);
            command.arg("--data-dir").arg(&self.data_dir).arg("model").args(args);
            command
        };
        if model(&["show", BF16_NAME]).output().is_ok_and(|output| output.status.success()) {
            return Ok(());
        }
        let folder = self.models.join("bf16-safetensors");
        let mut convert = Command::new(&self.openvino);
        convert.arg(repo::root().join("benches/gguf_to_safetensors.py"));
        convert.args([&self.gguf(Weights::BF16), &folder]);
        shell::run_quiet("Writing BF16 safetensors", &mut convert)?;
        let mut import = model(&["import", &folder.to_string_lossy(), "--name", BF16_NAME]);
        shell::run_quiet("Importing the BF16 model", &mut import)?;
        Ok(())
    }

    /// The file with these weights.
    pub(super) fn gguf(&self, weights: Weights) -> PathBuf {
        match weights {
            Weights::Q4_1 => self.gguf.clone(),
            other => self.models.join(format!("{other:?}.gguf")),
        }
    }

    /// Folder of the programs of one of llama.cpp's kind.
    pub(super) fn bin(&self, contender: Contender, section: Section) -> Result<&Path> {
        match (contender, section) {
            (Contender::IkLlamaCpp, _) => Ok(&self.ik_llama_cpp),
            (_, Section::Avx2) => {
                self.llama_cpp_avx2.as_deref().context("llama.cpp is not built for AVX2")
            }
            _ => Ok(&self.llama_cpp),
        }
    }

    /// A command that runs `program`, under what all contenders run under, where the logs that some
    /// of them write do no harm.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut words = self.under.iter().map(OsStr::new).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or(program.as_os_str()));
        command.args(words).current_dir(peers::folder());
        command
    }
}
