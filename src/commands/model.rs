//! `agentbase model …`: the registry from the command line.
#![allow(clippy::print_stdout, reason = "lists and results are what these commands are for")]

use std::path::Path;

use anyhow::{Context, Result};
use model_registry::{HubOptions, HubSource, Manifest, ModelName};

use crate::{cli::ModelCommand, data_dir, progress::Bars, size::ByteSize};

/// Runs one of the subcommands.
///
/// # Errors
/// What the registry says.
pub(super) async fn run(command: ModelCommand, data_dir: &Path) -> Result<()> {
    let registry = data_dir::registry(data_dir)?;
    match command {
        ModelCommand::Import { path, name } => {
            let name: ModelName = name.parse()?;
            check_before_import(&path)?;
            let manifest = registry.import(&path, &name, &Bars::default()).await?;
            println!("imported {}", summary(&manifest));
        }
        ModelCommand::Pull { source, name } => {
            let source: HubSource = source.parse()?;
            let name = name.as_deref().unwrap_or_else(|| source.repo());
            let name: ModelName = name.parse()?;
            let options = HubOptions::from_env();
            let manifest = registry.pull(&source, &name, &options, &Bars::default()).await?;
            println!("pulled {}", summary(&manifest));
        }
        ModelCommand::List { json } => list(&registry.list().await?, json)?,
        ModelCommand::Show { name, json } => {
            let manifest = registry.get(&name.parse()?).await?;
            show(&registry.files(&manifest).await?, &manifest, json)?;
        }
        ModelCommand::Rm { name } => {
            let freed = registry.remove(&name.parse()?).await?;
            println!("removed {name}, {} freed", ByteSize(freed.0));
        }
    }
    Ok(())
}

fn summary(manifest: &Manifest) -> String {
    let size = ByteSize(manifest.total_bytes());
    format!("{} ({size}, {})", manifest.name, &manifest.digest[..12])
}

fn list(manifests: &[Manifest], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(manifests)?);
        return Ok(());
    }
    if manifests.is_empty() {
        println!("no models; import one with `agentbase model import PATH --name NAME`");
        return Ok(());
    }
    let width = manifests.iter().map(|m| m.name.as_str().len()).max().unwrap_or(0).max(4);
    println!("{:width$}  {:12}  {:>11}  {:10}  SOURCE", "NAME", "VERSION", "SIZE", "FORMAT");
    for manifest in manifests {
        println!(
            "{:width$}  {:12}  {:>11}  {:10}  {}",
            manifest.name.as_str(),
            &manifest.digest[..12],
            ByteSize(manifest.total_bytes()).to_string(),
            format!("{:?}", manifest.format).to_lowercase(),
            manifest.source
        );
    }
    Ok(())
}
