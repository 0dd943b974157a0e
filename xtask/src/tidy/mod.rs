//! `cargo xtask tidy`: the shape of the code, held by a ratchet and not by a wall.
//!
//! Invariant: what is too large today is listed in `.ci/tidy-ratchet.toml` with its size, and may
//! only shrink; everything else keeps the limits.

mod arrows;
mod functions;
mod ratchet;
mod text;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::ratchet::Ratchet;
use crate::repo;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write what is too large now into the ratchet; it refuses what has grown
    #[arg(long)]
    update: bool,
}

impl Args {
    /// Only look.
    pub(crate) fn check() -> Self {
        Self { update: false }
    }
}

/// Something out of shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Finding {
    /// Always wrong.
    Wrong(String),
    /// Too large, unless the ratchet lists it.
    TooLarge { key: String, what: &'static str, size: usize, limit: usize },
}

/// Folders that hold no code of ours.
const SKIPPED: [&str; 6] = ["target", ".git", ".agentbase", ".venv", "node_modules", "__pycache__"];

pub(crate) fn run(args: &Args) -> Result<()> {
    let findings = findings()?;
    let path = repo::root().join(".ci/tidy-ratchet.toml");
    let ratchet = Ratchet::read(&path)?;
    if args.update {
        let updated = ratchet.updated(&findings)?;
        std::fs::create_dir_all(repo::root().join(".ci"))?;
        std::fs::write(&path, updated.to_toml())?;
        println!("wrote {} exceptions to {}", updated.len(), path.display());
        return Ok(());
    }
    let complaints = ratchet.judge(&findings);
    for complaint in &complaints {
        eprintln!("tidy: {complaint}");
    }
    if !complaints.is_empty() {
        bail!("{} things are not tidy", complaints.len());
    }
    println!("tidy: all in shape, {} exceptions left in the ratchet", ratchet.len());
    Ok(())
}

fn findings() -> Result<Vec<Finding>> {
    let root = repo::root();
    let mut findings: Vec<Finding> =
        arrows::check(&repo::metadata()?).into_iter().map(Finding::Wrong).collect();
    for path in sources(&root)? {
        let source = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if name.ends_with(".rs") {
            findings.extend(text::check_rust(&name, &source));
            findings.extend(functions::check(&name, &source)?);
        } else {
            findings.extend(text::check_python(&name, &source));
        }
    }
    Ok(findings)
}

/// All Rust and Python files, sorted.
fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = entry.file_name();
            if kind.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) {
                folders.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|e| e == "rs" || e == "py") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
