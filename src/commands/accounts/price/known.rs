//! Whether there is a model that prices are for.

use std::path::Path;

use anyhow::Result;
use model_registry::Manifest;
use server_accounts::DEFAULT;
use server_store::{STORAGE, Store};

use crate::accounts::allowed;
use crate::data_dir;

/// As much of a digest as versions are named by.
const DIGEST_LEN: usize = 12;
/// So many names are told.
const MAX_TOLD: usize = 10;

/// Warns of prices for a model that is not in this data directory and that nobody has used: by a
/// name that was mistyped nothing is charged. It is no error, since prices may come before a model.
///
/// # Errors
/// If the registry or the database fails.
pub(super) async fn warn_unless(store: &Store, data_dir: &Path, model: &str) -> Result<()> {
    let manifests = data_dir::registry(data_dir)?.list().await?;
    if model == STORAGE || manifests.iter().any(|it| is_of(model, it)) {
        return Ok(());
    }
    if store.was_used(&allowed(DEFAULT)?, model).await? {
        return Ok(());
    }
    crate::say(&format!(
        "warning: no model here is called '{model}', and none was ever used by that name. These \
         prices are kept, but nothing is charged by them until there is one.{}",
        told(&manifests)
    ));
    Ok(())
}

/// Whether a name of prices, `NAME` or `NAME@VERSION`, is that of a model.
fn is_of(model: &str, manifest: &Manifest) -> bool {
    let name = manifest.name.as_str();
    model == name || model.rsplit_once('@') == Some((name, version(manifest)))
}

fn version(manifest: &Manifest) -> &str {
    manifest.digest.get(..DIGEST_LEN).unwrap_or(&manifest.digest)
}

fn told(manifests: &[Manifest]) -> String {
    let named = |it: &Manifest| format!("{}@{}", it.name, version(it));
    let names: Vec<String> = manifests.iter().take(MAX_TOLD).map(named).collect();
    match (names.len(), manifests.len()) {
        (0, _) => String::new(),
        (told, all) if told < all => format!(" Models here: {}, …", names.join(", ")),
        _ => format!(" Models here: {}", names.join(", ")),
    }
}
