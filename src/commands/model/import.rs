//! `agentbase model import` and `pull`: what goes into the registry.
//!
//! Invariant: what this machine could never run is told before a byte is copied, and stored only
//! for whoever insists.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use model_registry::{
    HubOptions, HubSource, Manifest, ModelName, Registry, RegistryError, files_at,
};

use super::summary;
use crate::{
    adapters, data_dir,
    load::{self, Fit, Needs},
    progress::Bars,
};

/// Stores a model; `force` it even if it needs more memory than this machine has.
pub(super) async fn model(
    registry: &Registry,
    path: &Path,
    name: &ModelName,
    force: bool,
) -> Result<()> {
    let needs = needs(path.to_owned(), name.to_string()).await?;
    let fit = needs.fit();
    if let (Fit::Never(why), false) = (&fit, force) {
        bail!(
            "{name} was not stored: {why}; use a smaller model, or one quantised to fewer bits \
             (--force stores it all the same, to be served elsewhere)"
        );
    }
    let registry = match (&fit, needs.opened) {
        // To check it would take the memory that there is not.
        (Fit::Never(_), false) => registry.clone().with_check(Arc::new(|_| Ok(()))),
        _ => registry.clone(),
    };
    let bars = Bars::default();
    let manifest = registry.import(path, name, &bars).await?;
    bars.tell_reused();
    outln!("imported {}", summary(&manifest))?;
    note(&fit)
}

/// What the model at `path` needs, which is to be stored as `name`.
async fn needs(path: PathBuf, name: String) -> Result<Needs> {
    let needs = tokio::task::spawn_blocking(move || {
        let files = files_at(&path)?;
        let unfit = |error| RegistryError::Unfit { name, reason: format!("{error:#}") };
        Needs::of(&files).map_err(unfit)
    });
    Ok(needs.await??)
}

/// Tells of a model that was stored why this machine does not run it, if so.
fn note(fit: &Fit) -> Result<()> {
    match fit {
        Fit::Yes => Ok(()),
        Fit::NotNow(why) | Fit::Never(why) => outln!("note: {why}"),
    }
}

/// Stores an adapter of the model that is called `base`.
pub(super) async fn adapter(
    (data_dir, registry): (&Path, &Registry),
    path: &Path,
    (name, base): (Option<String>, &str),
) -> Result<()> {
    let base = registry.get(&base.parse()?).await?;
    let files = registry.files(&base).await?;
    load::expect_decoder(&base, &files, "adapters go on decoders only")?;
    let name = base.name.with_adapter(&adapter_name(path, name)?)?;
    let registry = data_dir::registry_for_adapters(data_dir, &files)?;
    let bars = Bars::default();
    let manifest = registry.import_adapter(path, (&name, &base), &bars).await?;
    bars.tell_reused();
    outln!("imported {}", summary(&manifest))?;
    if let Some(trained_on) = adapters::trained_on(&registry.files(&manifest).await?)
        && !trained_on.rsplit('/').next().is_some_and(|last| names_same(last, &base))
    {
        let name = &base.name;
        outln!("note: trained on {trained_on:?}, says its adapter_config.json; shapes fit,")?;
        outln!("      but whether that is {name} cannot be told")?;
    }
    Ok(())
}

/// Downloads a model from a hub.
pub(super) async fn pull(registry: &Registry, source: &str, name: Option<String>) -> Result<()> {
    let source: HubSource = source.parse()?;
    let name = name.as_deref().unwrap_or_else(|| source.repo());
    let name: ModelName = name.parse()?;
    let (options, bars) = (HubOptions::from_env(), Bars::default());
    let manifest = registry.pull(&source, &name, &options, &bars).await?;
    bars.tell_reused();
    outln!("pulled {}", summary(&manifest))?;
    // What a hub tells of a file are sizes; what it needs, the file.
    let files = registry.files(&manifest).await?;
    note(&tokio::task::spawn_blocking(move || Needs::of(&files)).await??.fit())
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
