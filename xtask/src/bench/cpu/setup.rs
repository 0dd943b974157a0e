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
const BF16_NAME: &str = "smollm2-135m-instruct-bf16";
/// What the peers can read beside the file as it came.
const REQUANTISED: [Weights; 2] = [Weights::Q4_0, Weights::Q8_0];

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
        std::fs::create_dir_all(&setup.models)?;
        for &section in sections {
            setup.make_shape(section)?;
            setup.requantise(section)?;
        }
        server::import_model(&setup.ours, &setup.data_dir)?;
        if sections.contains(&Section::Bf16) {
            setup.import_bf16()?;
        }
        Ok(setup)
    }

    /// The model of a section whose weights are made up, for the peers and for ours.
    fn make_shape(&self, section: Section) -> Result<()> {
        let Some(shape) = section.shape() else { return Ok(()) };
        let to = self.gguf(section, Weights::Q4_1);
        if !to.exists() {
            let part = to.with_extension("part");
            let mut make = Command::new(&self.openvino);
            make.arg(repo::root().join("benches/make_shape.py")).arg(shape).arg(&part);
            shell::run_quiet(&format!("Making up a model ({shape})"), &mut make)?;
            std::fs::rename(&part, &to)?;
        }
        self.import(&to, shape)
    }

    /// Gives ours a model, once.
    fn import(&self, from: &Path, name: &str) -> Result<()> {
        let model = |args: &[&str]| {
            let mut command = Command::new(&self.ours);
            command.arg("--data-dir").arg(&self.data_dir).arg("model").args(args);
            command
        };
        if model(&["show", name]).output().is_ok_and(|output| output.status.success()) {
            return Ok(());
        }
        let mut import = model(&["import", &from.to_string_lossy(), "--name", name]);
        shell::run_quiet(&format!("Importing {name}"), &mut import)?;
        Ok(())
    }

    /// llama.cpp's own files of the same model.
    fn requantise(&self, section: Section) -> Result<()> {
        let all: &[Weights] = match section {
            Section::Bf16 => &[Weights::BF16, Weights::F16],
            _ if section.shape().is_some() => &[],
            _ => &REQUANTISED,
        };
        for &weights in all {
            let to = self.gguf(section, weights);
            if to.exists() {
                continue;
            }
            let part = to.with_extension("part");
            let mut quantise = Command::new(self.llama_cpp.join("llama-quantize"));
            let from = self.gguf(section, Weights::Q4_1);
            quantise.arg("--allow-requantize").args([&from, &part]);
            quantise.arg(format!("{weights:?}"));
            shell::run_quiet(&format!("Requantising to {weights:?}"), &mut quantise)?;
            std::fs::rename(&part, &to)?;
        }
        Ok(())
    }

    /// The BF16 weights as a safetensors folder, which is what ours reads.
    fn import_bf16(&self) -> Result<()> {
        let folder = self.models.join("bf16-safetensors");
        if !folder.join("model.safetensors").exists() {
            let mut convert = Command::new(&self.openvino);
            convert.arg(repo::root().join("benches/gguf_to_safetensors.py"));
            convert.args([&self.gguf(Section::Bf16, Weights::BF16), &folder]);
            shell::run_quiet("Writing BF16 safetensors", &mut convert)?;
        }
        self.import(&folder, BF16_NAME)
    }

    /// The name under which ours knows a section's model.
    pub(super) fn name(section: Section) -> &'static str {
        match section {
            Section::Bf16 => BF16_NAME,
            _ => section.shape().unwrap_or(weights::MODEL_NAME),
        }
    }

    /// The file of a section's model with these weights.
    pub(super) fn gguf(&self, section: Section, weights: Weights) -> PathBuf {
        match (section.shape(), weights) {
            (None, Weights::Q4_1) => self.gguf.clone(),
            (None, other) => self.models.join(format!("{other:?}.gguf")),
            (Some(shape), weights) => self.models.join(format!("{shape}-{weights:?}.gguf")),
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
