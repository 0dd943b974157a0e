//! What must be on the machine, and what to run when it is not.
//!
//! Invariant: nothing is installed outside the repository; the reader is told the exact command.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{repo, shell};

/// A C compiler builds parts of some dependencies.
pub(crate) fn require_c_compiler() -> Result<()> {
    let named = std::env::var("CC").ok();
    let candidates = named.as_deref().into_iter().chain(["cc", "gcc", "clang"]);
    if candidates.into_iter().any(|compiler| shell::succeeds(compiler, &["--version"])) {
        return Ok(());
    }
    bail!("no C compiler found. {}", install("gcc libc6-dev", "gcc", "xcode-select --install"))
}

/// A Python 3 that can run `pip`.
pub(crate) fn python() -> Result<PathBuf> {
    let named = std::env::var("PYTHON").ok();
    let candidates: Vec<&str> = named.as_deref().into_iter().chain(["python3", "python"]).collect();
    let is_python3 = "import sys; sys.exit(sys.version_info < (3, 10))";
    let found = candidates.iter().find(|python| shell::succeeds(python, &["-c", is_python3]));
    let Some(python) = found else {
        bail!(
            "Python 3.10 or newer not found. {}",
            install(
                "python3 python3-pip python3-venv",
                "python3 python3-pip",
                "brew install python"
            )
        );
    };
    Ok(PathBuf::from(python))
}

/// A Python whose `pip` works: the machine's, or that of an environment of our own.
pub(crate) fn python_with_pip() -> Result<PathBuf> {
    let python = python()?;
    if shell::succeeds(&python.to_string_lossy(), &["-m", "pip", "--version"]) {
        return Ok(python);
    }
    venv()
}

/// The repository's own Python environment, made when it is missing.
pub(crate) fn venv() -> Result<PathBuf> {
    venv_in(&repo::scratch().join("venv"))
}

fn venv_in(folder: &Path) -> Result<PathBuf> {
    let python_in = folder.join("bin").join("python3");
    if shell::succeeds(&python_in.to_string_lossy(), &["-m", "pip", "--version"]) {
        return Ok(python_in);
    }
    std::fs::create_dir_all(folder)?;
    let mut command = Command::new(python()?);
    command.args(["-m", "venv", "--clear"]).arg(folder);
    if let Err(error) = shell::run_quiet("Making a Python environment", &mut command) {
        let hint = install("python3-pip python3-venv", "python3-pip", "brew install python");
        bail!("{error:#}\n\nThis Python has neither pip nor venv. {hint}");
    }
    Ok(python_in)
}

/// The repository's own environment, with what `requirements` pins installed into it, once.
pub(crate) fn installed(message: &str, requirements: &Path) -> Result<PathBuf> {
    installed_in(&repo::scratch().join("venv"), message, requirements)
}

/// The same in an environment of its own.
pub(crate) fn installed_in(folder: &Path, message: &str, requirements: &Path) -> Result<PathBuf> {
    let python = venv_in(folder)?;
    let wanted = std::fs::read_to_string(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let digest = format!("{:x}", Sha256::digest(&wanted));
    // Beside the packages: who removes the environment removes what it says of them.
    let stamp = folder.join(format!("installed-{}", &digest[..16]));
    if stamp.exists() {
        return Ok(python);
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.arg("--require-hashes").arg("--requirement").arg(requirements);
    shell::run_quiet(message, &mut pip)?;
    std::fs::write(&stamp, "")?;
    Ok(python)
}

/// A component of the Rust toolchain, added if rustup can.
pub(crate) fn require_component(name: &str, subcommand: &str) -> Result<()> {
    if shell::succeeds(&repo::cargo(), &[subcommand, "--version"]) {
        return Ok(());
    }
    let mut command = Command::new("rustup");
    command.args(["component", "add", name]);
    shell::run_quiet(&format!("Adding {name} to the Rust toolchain"), &mut command)?;
    Ok(())
}

/// A generator of load that takes little of the machine that the server runs on, too.
pub(crate) fn require_wrk() -> Result<()> {
    // It has no option that succeeds; `-v` tells its version and how it is used.
    if Command::new("wrk").arg("-v").output().is_ok() {
        return Ok(());
    }
    bail!("wrk not found. {}", install("wrk", "wrk", "brew install wrk"))
}

/// How to install the server that tests need.
pub(crate) fn install_postgres() -> String {
    install("postgresql", "postgresql-server", "brew install postgresql")
}

fn install(debian: &str, fedora: &str, mac: &str) -> String {
    let sudo = if rustix::process::geteuid().is_root() { "" } else { "sudo " };
    let command = if cfg!(target_os = "macos") {
        mac.to_owned()
    } else if shell::succeeds("dnf", &["--version"]) {
        format!("{sudo}dnf install -y {fedora}")
    } else {
        format!("{sudo}apt-get update && {sudo}apt-get install -y {debian}")
    };
    format!("Run this, then try again:\n\n    {command}\n")
}
