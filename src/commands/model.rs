//! `agentbase model …`: the registry from the command line.

mod import;

use std::path::Path;

use anyhow::Result;
use engine_core::EncoderOutput;
use model_registry::{AdapterBase, Manifest, ModelName};
use serde_json::json;

use crate::{
    cli::ModelCommand,
    data_dir,
    load::{self, Opened, OpenedDecoder, OpenedEncoder},
    size::ByteSize,
};

/// Runs one of the subcommands.
///
/// # Errors
/// What the registry says.
pub(super) async fn run(command: ModelCommand, data_dir: &Path) -> Result<()> {
    let registry = data_dir::registry(data_dir)?;
    match command {
        ModelCommand::Import { path, name, base: Some(base), .. } => {
            import::adapter((data_dir, &registry), &path, (name, &base)).await?;
        }
        ModelCommand::Import { path, name, base: None, force } => {
            let name: ModelName = name.unwrap_or_default().parse()?;
            import::model(&registry, &path, &name, force).await?;
        }
        ModelCommand::Pull { source, name } => import::pull(&registry, &source, name).await?,
        ModelCommand::Quantize(args) => super::quantize::run(*args, data_dir, &registry).await?,
        ModelCommand::List { json } => list(&registry.list().await?, json)?,
        ModelCommand::Show { name, json } => {
            let manifest = registry.get(&name.parse()?).await?;
            if let Some(base) = &manifest.adapter_of {
                return show_adapter(base, &manifest, json);
            }
            match load::open(&registry.files(&manifest).await?)? {
                Opened::Speech(speech) => show_speech(&speech, &manifest, json)?,
                Opened::Encoder(encoder) => show_encoder(&encoder, &manifest, json)?,
                Opened::Decoder(decoder) => show(&decoder, &manifest, json)?,
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

fn show_encoder(encoder: &OpenedEncoder, manifest: &Manifest, json: bool) -> Result<()> {
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

fn show(decoder: &OpenedDecoder, manifest: &Manifest, json: bool) -> Result<()> {
    let OpenedDecoder { spec, text, .. } = decoder;
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
