//! `agentbase model …`: the registry from the command line.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use engine_core::EncoderOutput;
use model_registry::{AdapterBase, HubOptions, HubSource, Manifest, ModelName};

use serde_json::json;

use crate::{adapters, cli::ModelCommand, data_dir, load, progress::Bars, size::ByteSize};

/// Runs one of the subcommands.
///
/// # Errors
/// What the registry says.
pub(super) async fn run(command: ModelCommand, data_dir: &Path) -> Result<()> {
    let registry = data_dir::registry(data_dir)?;
    match command {
        ModelCommand::Import { path, name, base: Some(base) } => {
            let base = registry.get(&base.parse()?).await?;
            let name = base.name.with_adapter(&adapter_name(&path, name)?)?;
            let files = registry.files(&base).await?;
            let registry = data_dir::registry_for_adapters(data_dir, &files)?;
            let names = (&name, &base);
            let manifest = registry.import_adapter(&path, names, &Bars::default()).await?;
            outln!("imported {}", summary(&manifest))?;
            if let Some(trained_on) = adapters::trained_on(&registry.files(&manifest).await?)
                && !trained_on.rsplit('/').next().is_some_and(|last| names_same(last, &base))
            {
                let name = &base.name;
                outln!(
                    "note: trained on {trained_on:?}, says its adapter_config.json; shapes fit,"
                )?;
                outln!("      but whether that is {name} cannot be told")?;
            }
        }
        ModelCommand::Import { path, name, base: None } => {
            let name: ModelName = name.unwrap_or_default().parse()?;
            let manifest = registry.import(&path, &name, &Bars::default()).await?;
            outln!("imported {}", summary(&manifest))?;
        }
        ModelCommand::Pull { source, name } => {
            let source: HubSource = source.parse()?;
            let name = name.as_deref().unwrap_or_else(|| source.repo());
            let name: ModelName = name.parse()?;
            let options = HubOptions::from_env();
            let manifest = registry.pull(&source, &name, &options, &Bars::default()).await?;
            outln!("pulled {}", summary(&manifest))?;
        }
        ModelCommand::Quantize(args) => super::quantize::run(*args, data_dir, &registry).await?,
        ModelCommand::List { json } => list(&registry.list().await?, json)?,
        ModelCommand::Show { name, json } => {
            let manifest = registry.get(&name.parse()?).await?;
            match &manifest.adapter_of {
                Some(base) => show_adapter(base, &manifest, json)?,
                None => {
                    let files = registry.files(&manifest).await?;
                    if let Some((speech, _)) = load::open_speech(&files)? {
                        show_speech(&speech, &manifest, json)?;
                    } else if let Some((encoder, _)) = load::open_encoder(&files)? {
                        show_encoder(&encoder, &manifest, json)?;
                    } else {
                        show(&files, &manifest, json)?;
                    }
                }
            }
        }
        ModelCommand::Rm { name } => {
            let freed = registry.remove(&name.parse()?).await?;
            data_dir::sweep_packed(data_dir, &registry.list().await?);
            outln!("removed {name}, {} freed", ByteSize(freed.0))?;
        }
    }
    Ok(())
}

/// Whether a model of this name elsewhere is called the same here.
fn names_same(last: &str, base: &Manifest) -> bool {
    last.eq_ignore_ascii_case(&base.name.to_string())
}

/// What an adapter is called after its base: as asked for, or as its folder.
fn adapter_name(path: &Path, name: Option<String>) -> Result<String> {
    let folder = || {
        let path = path.canonicalize().ok()?;
        Some(path.file_name()?.to_str()?.to_owned())
    };
    name.or_else(folder).with_context(|| {
        format!("{} gives the adapter no name; say one with --name", path.display())
    })
}

fn summary(manifest: &Manifest) -> String {
    let size = ByteSize(manifest.total_bytes());
    format!("{} ({size}, {})", manifest.name, &manifest.digest[..12])
}

fn list(manifests: &[Manifest], json: bool) -> Result<()> {
    if json {
        outln!("{}", serde_json::to_string_pretty(manifests)?)?;
        return Ok(());
    }
    if manifests.is_empty() {
        outln!("no models; import one with `agentbase model import PATH --name NAME`")?;
        return Ok(());
    }
    let width = manifests.iter().map(|m| m.name.as_str().len()).max().unwrap_or(0).max(4);
    outln!("{:width$}  {:12}  {:>11}  {:11}  SOURCE", "NAME", "VERSION", "SIZE", "FORMAT")?;
    for manifest in manifests {
        outln!(
            "{:width$}  {:12}  {:>11}  {:11}  {}",
            manifest.name.as_str(),
            &manifest.digest[..12],
            ByteSize(manifest.total_bytes()).to_string(),
            kind(manifest),
            manifest.source
        )?;
    }
    Ok(())
}

/// How it is stored, or that it is an adapter.
fn kind(manifest: &Manifest) -> String {
    match manifest.adapter_of {
        Some(_) => "adapter".to_owned(),
        None => format!("{:?}", manifest.format).to_lowercase(),
    }
}

fn show_adapter(base: &AdapterBase, manifest: &Manifest, json: bool) -> Result<()> {
    if json {
        outln!("{}", serde_json::to_string_pretty(&json!({ "manifest": manifest }))?)?;
        return Ok(());
    }
    outln!("name       {}", manifest.name)?;
    outln!("version    {}", manifest.digest)?;
    outln!("source     {}", manifest.source)?;
    outln!("adapter    of {}, version {}", base.name, base.digest)?;
    show_files(manifest)
}

fn show_encoder(encoder: &load::Opened, manifest: &Manifest, json: bool) -> Result<()> {
    let (architecture, max) = (encoder.architecture(), encoder.max_input_len());
    let (makes, labels) = match encoder.meaning() {
        EncoderOutput::Embedding { dim, .. } => (format!("embeddings of {dim} numbers"), &[][..]),
        EncoderOutput::Rows { width } => (format!("rows of {width} numbers"), &[][..]),
        EncoderOutput::Logits { labels, .. } => ("scores of labels".to_owned(), &labels[..]),
    };
    if json {
        let shown = json!({
            "manifest": manifest,
            "encoder": {
                "architecture": architecture,
                "makes": makes,
                "labels": labels,
                "max_input_len": max,
            },
        });
        return outln!("{}", serde_json::to_string_pretty(&shown)?);
    }
    outln!("name       {}", manifest.name)?;
    outln!("version    {}", manifest.digest)?;
    outln!("source     {}", manifest.source)?;
    outln!("encoder    {architecture}: {makes}")?;
    for label in labels {
        outln!("label      {label}")?;
    }
    outln!("input      {max} tokens at most")?;
    show_files(manifest)
}

fn show_speech(model: &engine_speech::Model, manifest: &Manifest, json: bool) -> Result<()> {
    let languages: Vec<_> = model.vocabulary.languages.keys().collect();
    if json {
        let shown = json!({
            "manifest": manifest,
            "speech": { "architecture": engine_speech::ARCHITECTURE, "languages": languages },
        });
        return outln!("{}", serde_json::to_string_pretty(&shown)?);
    }
    outln!("name       {}", manifest.name)?;
    outln!("version    {}", manifest.digest)?;
    outln!("source     {}", manifest.source)?;
    outln!("speech     {}", engine_speech::ARCHITECTURE)?;
    outln!("languages  {}", if languages.is_empty() { 1 } else { languages.len() })?;
    show_files(manifest)
}

fn show_files(manifest: &Manifest) -> Result<()> {
    for file in &manifest.files {
        outln!("file       {} ({}, sha256 {})", file.name, ByteSize(file.size), file.sha256)?;
    }
    Ok(())
}

fn show(files: &BTreeMap<String, PathBuf>, manifest: &Manifest, json: bool) -> Result<()> {
    let (spec, _, text) = load::open(files)?;
    if json {
        let shown = json!({
            "manifest": manifest,
            "architecture": {
                "family": spec.family,
                "layers": spec.num_layers(),
                "hidden_size": spec.hidden_size,
                "heads": spec.attention.num_heads,
                "kv_heads": spec.attention.num_kv_heads,
                "vocab_size": spec.vocab_size,
                "max_model_len": spec.max_model_len,
                "sliding_window": spec.sliding_window(),
            },
            "chat_template": text.has_chat_template(),
        });
        outln!("{}", serde_json::to_string_pretty(&shown)?)?;
        return Ok(());
    }
    outln!("name       {}", manifest.name)?;
    outln!("version    {}", manifest.digest)?;
    outln!("source     {}", manifest.source)?;
    outln!(
        "decoder    {}: {} layers of {}, {} heads sharing {} keys, {} tokens",
        spec.family,
        spec.num_layers(),
        spec.hidden_size,
        spec.attention.num_heads,
        spec.attention.num_kv_heads,
        spec.vocab_size
    )?;
    outln!("context    {} tokens", spec.max_model_len)?;
    outln!("chat       {}", if text.has_chat_template() { "yes" } else { "no template" })?;
    show_files(manifest)
}
