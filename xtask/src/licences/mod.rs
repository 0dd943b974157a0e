//! `cargo xtask licences`: what our dependencies allow us, what is known against them, and how
//! often they come. Works offline.
//!
//! Invariant: it reads `cargo metadata` and `Cargo.lock`, so it judges what is really built.

mod advisories;
mod duplicates;
mod terms;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::repo;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write `.ci/advisories.toml` anew from a checkout of RustSec's advisory database
    #[arg(long, value_name = "CHECKOUT")]
    refresh_advisories: Option<PathBuf>,
}

impl Args {
    /// Only look.
    pub(crate) fn check() -> Self {
        Self { refresh_advisories: None }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let listed = repo::root().join(".ci/advisories.toml");
    if let Some(checkout) = &args.refresh_advisories {
        let num_advisories = advisories::refresh(checkout, &listed)?;
        println!("wrote {num_advisories} advisories to {}", listed.display());
        return Ok(());
    }
    let metadata = repo::metadata()?;
    let mut complaints = terms::check(&metadata.packages);
    complaints.extend(duplicates::check(&metadata.packages));
    complaints.extend(advisories::check(&metadata.packages, &listed)?);
    for complaint in &complaints {
        eprintln!("licences: {complaint}");
    }
    if !complaints.is_empty() {
        bail!("{} complaints about dependencies", complaints.len());
    }
    println!("licences: {} packages fit GPL-3.0-or-later", metadata.packages.len());
    Ok(())
}
