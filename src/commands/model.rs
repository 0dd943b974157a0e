//! `agentbase model …`: the registry from the command line.
#![allow(clippy::print_stdout, reason = "lists and results are what these commands are for")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use model_registry::{HubOptions, HubSource, Manifest, ModelName};

use serde_json::json;

use crate::{cli::ModelCommand, data_dir, load, progress::Bars, size::ByteSize};

/// A model's folder has some dozens of files; a folder with more than this is something else.
const MAX_FOLDER_ENTRIES: usize = 10_000;

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

/// Looks into the files before anything is copied, so that what cannot run is not stored.
fn check_before_import(path: &Path) -> Result<()> {
    let entry = |path: &Path| {
        let name = path.file_name()?.to_str()?.to_owned();
        Some((name, path.to_owned()))
    };
    let files = if path.is_dir() {
        let shown = path.display();
        std::fs::read_dir(path)
            .with_context(|| format!("cannot read {shown}"))?
            .take(MAX_FOLDER_ENTRIES)
            .filter_map(|file| entry(&file.ok()?.path()))
            .collect()
    } else {
        entry(path).into_iter().collect()
    };
    load::open(&files).map(|_| ()).with_context(|| format!("cannot import {}", path.display()))
}

fn show(files: &BTreeMap<String, PathBuf>, manifest: &Manifest, json: bool) -> Result<()> {
    let (spec, _, text) = load::open(files)?;
    if json {
        let shown = json!({
            "manifest": manifest,
            "architecture": {
                "family": spec.family,
                "layers": spec.num_layers,
                "hidden_size": spec.hidden_size,
                "heads": spec.num_heads,
                "kv_heads": spec.num_kv_heads,
                "vocab_size": spec.vocab_size,
                "max_model_len": spec.max_model_len,
                "sliding_window": spec.sliding_window,
            },
            "chat_template": text.has_chat_template(),
        });
        println!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    println!("name       {}", manifest.name);
    println!("version    {}", manifest.digest);
    println!("source     {}", manifest.source);
    println!(
        "decoder    {}: {} layers of {}, {} heads sharing {} keys, {} tokens",
        spec.family,
        spec.num_layers,
        spec.hidden_size,
        spec.num_heads,
        spec.num_kv_heads,
        spec.vocab_size
    );
    println!("context    {} tokens", spec.max_model_len);
    println!("chat       {}", if text.has_chat_template() { "yes" } else { "no template" });
    for file in &manifest.files {
        println!("file       {} ({}, sha256 {})", file.name, ByteSize(file.size), file.sha256);
    }
    Ok(())
}
