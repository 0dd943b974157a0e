//! OpenVINO GenAI in a Python environment of its own.
//!
//! Invariant: all packages that matter are pinned; it runs `benches/openvino_genai_bench.py`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{shell, tools};

const PACKAGES: [&str; 5] = [
    "openvino-genai==2026.4.1.0",
    "openvino-tokenizers==2026.4.1.0",
    "openvino==2026.4.1",
    // Reads GGUF files, for `benches/gguf_to_safetensors.py`.
    "gguf==0.19.0",
    "numpy==2.4.6",
];

/// The environment's Python, made when it is missing.
pub(crate) fn obtain() -> Result<PathBuf> {
    let folder = super::folder().join("openvino");
    let python = folder.join("bin/python3");
    if shell::succeeds(&python.to_string_lossy(), &["-c", "import openvino_genai, gguf"]) {
        return Ok(python);
    }
    std::fs::create_dir_all(super::folder())?;
    let mut venv = Command::new(tools::python()?);
    shell::run_quiet("Making a Python environment", venv.args(["-m", "venv"]).arg(&folder))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    shell::run_quiet("Installing OpenVINO GenAI", &mut pip)?;
    Ok(python)
}
