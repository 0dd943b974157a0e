//! Where things are kept.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use engine_llm::weights;
use model_registry::{Manifest, Registry};

use crate::load;

/// The data directory: the one named, or the platform's usual place; created if missing.
///
/// # Errors
/// If there is no usual place, or it cannot be created.
pub(crate) fn open(named: Option<PathBuf>) -> Result<PathBuf> {
    let dir = match named {
        Some(dir) => dir,
        None => dirs::data_dir()
            .context("this system names no place for data; give one with --data-dir")?
            .join("agentbase"),
    };
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("cannot create the data directory {}", dir.display()))?;
    Ok(dir)
}

/// The model registry inside a data directory.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn registry(data_dir: &Path) -> Result<Registry> {
    let registry =
        Registry::open_local(&data_dir.join("models")).context("cannot open the model registry")?;
    // What cannot run is refused before it is stored, or replaces what can.
    let check = |files: &_| load::open(files).map(drop).map_err(|error| format!("{error:#}"));
    Ok(registry.with_check(Arc::new(check)))
}

/// The same, to store adapters of the model that these are the files of.
///
/// # Errors
/// If it, or the model, cannot be opened.
pub(crate) fn registry_for_adapters(
    data_dir: &Path,
    base: &BTreeMap<String, PathBuf>,
) -> Result<Registry> {
    let base = load::named(base, weights::open(base))?.base;
    let check = move |files: &BTreeMap<String, PathBuf>| {
        load::named(files, base.open(files)).map(drop).map_err(|error| format!("{error:#}"))
    };
    Ok(registry(data_dir)?.with_check(Arc::new(check)))
}

/// What clients ask to be kept.
pub(crate) fn store(data_dir: &Path) -> PathBuf {
    data_dir.join("store.db")
}

/// What people's access tokens and cookies are signed with.
pub(crate) fn login_key(data_dir: &Path) -> PathBuf {
    data_dir.join("login.key")
}

/// Letters to people, where there is no mail server.
pub(crate) fn letters(data_dir: &Path) -> PathBuf {
    data_dir.join("mail")
}

/// Where usage is written before the ledger has it.
pub(crate) fn journals(data_dir: &Path) -> PathBuf {
    data_dir.join("usage")
}

/// Where the packed weights of a model version are kept; they can be deleted at any time.
pub(crate) fn packed(data_dir: &Path, digest: &str) -> PathBuf {
    data_dir.join("packed").join(format!("{digest}.bin"))
}

/// Deletes packed weights of model versions that are no more. What cannot be deleted stays.
pub(crate) fn sweep_packed(data_dir: &Path, kept: &[Manifest]) {
    let Ok(files) = std::fs::read_dir(data_dir.join("packed")) else { return };
    // A model that sees has two files: what comes before the first point is the digest.
    let is_kept = |name: &str| {
        let digest = name.split('.').next().unwrap_or_default();
        kept.iter().any(|manifest| manifest.digest == digest)
    };
    for file in files.flatten().filter(|file| !file.file_name().to_str().is_some_and(is_kept)) {
        if let Err(error) = std::fs::remove_file(file.path()) {
            tracing::warn!(file = %file.path().display(), %error, "packed weights stay");
        }
    }
}
