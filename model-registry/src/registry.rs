//! The registry itself: list, get, remove, and the commit that ends every import and pull.
//!
//! Invariant: the manifest is the last thing a commit puts in place and the first that a removal
//! takes away, both under the registry's lock; at any moment, what a manifest names is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::RegistryError;
use crate::limits::MAX_NEAR_NAMES;
use crate::lock::{RegistryLock, blocking};
use crate::manifest::{FileEntry, Manifest};
use crate::name::ModelName;
use crate::stage::{self, Stage};
use crate::store::Store;

/// Says whether a model's files (name in the model → local path) can be run; the reason if not.
pub type Check = dyn Fn(&BTreeMap<String, PathBuf>) -> Result<(), String> + Send + Sync;

/// The models of one data directory. Cheap to clone; many processes may open the same one.
#[derive(Clone)]
pub struct Registry {
    pub(crate) store: Store,
    pub(crate) root: PathBuf,
    check: Option<Arc<Check>>,
}

/// Disk space that a removal gave back, in bytes: less than the model's size where another model
/// shares its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovedBytes(pub u64);

/// A model's file, ready to be committed.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) entry: FileEntry,
    /// Its name in the staging folder; none where the blob was stored already.
    pub(crate) staged: Option<String>,
}

impl Registry {
    /// Opens the registry in `dir`, creating it where there is none, and clears away what an
    /// interrupted import left. Blocks for as long as another process commits or cleans.
    ///
    /// # Errors
    /// When `dir` cannot be created, locked or written.
    pub fn open_local(dir: &Path) -> Result<Registry, RegistryError> {
        fs::create_dir_all(dir).map_err(RegistryError::io("cannot create", dir))?;
        let root = fs::canonicalize(dir).map_err(RegistryError::io("cannot open", dir))?;
        let _lock = RegistryLock::take_blocking(&root)?;
        stage::clean(&root)?;
        Ok(Registry { store: Store::local(&root)?, root, check: None })
    }

    /// From now on a model is stored only if `check` finds that it can be run. The check sees the
    /// registry's own copies, before they replace a model of the same name.
    #[must_use]
    pub fn with_check(self, check: Arc<Check>) -> Registry {
        Registry { check: Some(check), ..self }
    }

    /// Every model, sorted by name. One whose manifest is damaged is left out, with a warning in
    /// the log; [`Registry::get`] says what is wrong with it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self) -> Result<Vec<Manifest>, RegistryError> {
        let mut manifests = Vec::new();
        for (name, manifest) in self.store.manifests().await? {
            match manifest {
                Ok(manifest) => manifests.push(manifest),
                Err(reason) => tracing::warn!(name, reason, "unreadable manifest"),
            }
        }
        Ok(manifests)
    }

    /// The model of that name.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`], which lists names that are like it, or
    /// [`RegistryError::Damaged`].
    pub async fn get(&self, name: &ModelName) -> Result<Manifest, RegistryError> {
        match self.store.manifest(name.as_str()).await? {
            Some(Ok(manifest)) => Ok(manifest),
            Some(Err(reason)) => Err(RegistryError::Damaged { name: name.to_string(), reason }),
            None => Err(self.not_found(name).await?),
        }
    }

    /// Removes a model, and the files that no other model shares. A process that has them mapped
    /// keeps them until it lets go.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`], [`RegistryError::HasAdapters`], or when the store cannot be
    /// written.
    pub async fn remove(&self, name: &ModelName) -> Result<RemovedBytes, RegistryError> {
        let _lock = RegistryLock::take(&self.root).await?;
        if self.store.manifest(name.as_str()).await?.is_none() {
            return Err(self.not_found(name).await?);
        }
        let is_its = |other: &ModelName| other.adapter().is_some_and(|(base, _)| base == *name);
        let adapters = self.store.manifests().await?.into_keys().filter_map(|n| n.parse().ok());
        let adapters: Vec<ModelName> = adapters.filter(is_its).collect();
        if !adapters.is_empty() {
            return Err(RegistryError::HasAdapters { name: name.clone(), adapters });
        }
        self.store.delete_manifest(name).await?;
        Ok(RemovedBytes(self.store.sweep().await?))
    }

    /// Where the files of a model lie, by their names in it. They may be memory-mapped: what is
    /// in place is never written to again. Sizes are checked here, hashes when they were stored.
    ///
    /// # Errors
    /// [`RegistryError::Damaged`], which names the file that is gone or has another size.
    pub async fn files(
        &self,
        manifest: &Manifest,
    ) -> Result<BTreeMap<String, PathBuf>, RegistryError> {
        let mut files = BTreeMap::new();
        for entry in &manifest.files {
            let path = self.store.file(entry).await.map_err(|reason| RegistryError::Damaged {
                name: manifest.name.to_string(),
                reason,
            })?;
            files.insert(entry.name.clone(), path);
        }
        Ok(files)
    }

    /// Puts the gathered files and the manifest in place. `None` when another process removed a
    /// blob that was counted on meanwhile: its file has to be gathered again.
    pub(crate) async fn commit(
        &self,
        manifest: Manifest,
        gathered: &[Gathered],
        stage: &Stage,
    ) -> Result<Option<Manifest>, RegistryError> {
        if !self.check_gathered(&manifest.name, gathered, stage).await? {
            return Ok(None);
        }
        let _lock = RegistryLock::take(&self.root).await?;
        let mut to_publish = Vec::new();
        for file in gathered {
            let FileEntry { sha256, size, .. } = &file.entry;
            match (&file.staged, self.store.has(sha256, *size).await?) {
                (_, true) => {}
                (Some(staged), false) => to_publish.push((stage.store_path(staged), sha256)),
                (None, false) => return Ok(None),
            }
        }
        let old = self.store.manifest(manifest.name.as_str()).await?.and_then(Result::ok);
        if let Some(old) = old.filter(|old| to_publish.is_empty() && is_same(old, &manifest)) {
            return Ok(Some(old));
        }
        for (staged, sha256) in to_publish {
            self.store.publish(&staged, sha256).await?;
        }
        self.store.publish_manifest(&manifest, &stage.store_path("manifest.json")).await?;
        self.store.sweep().await?;
        Ok(Some(manifest))
    }

    /// Runs the check, if there is one; `false` when a blob that was counted on is gone.
    async fn check_gathered(
        &self,
        name: &ModelName,
        gathered: &[Gathered],
        stage: &Stage,
    ) -> Result<bool, RegistryError> {
        let Some(check) = self.check.clone() else { return Ok(true) };
        let mut files = BTreeMap::new();
        for file in gathered {
            let path = match &file.staged {
                Some(staged) => stage.path(staged),
                None => match self.store.file(&file.entry).await {
                    Ok(path) => path,
                    Err(_) => return Ok(false),
                },
            };
            files.insert(file.entry.name.clone(), path);
        }
        let name = name.to_string();
        let unfit = |reason| RegistryError::Unfit { name, reason };
        blocking(move || check(&files).map_err(unfit)).await.map(|()| true)
    }

    async fn not_found(&self, name: &ModelName) -> Result<RegistryError, RegistryError> {
        let likeness = |other: &str| {
            strsim::jaro_winkler(&name.as_str().to_lowercase(), &other.to_lowercase())
        };
        let mut near: Vec<(f64, ModelName)> = (self.store.manifests().await?.keys())
            .filter_map(|other| Some((likeness(other), other.parse().ok()?)))
            .filter(|(likeness, _)| *likeness > 0.7)
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        near.truncate(MAX_NEAR_NAMES);
        let near = near.into_iter().map(|(_, name)| name).collect();
        Ok(RegistryError::NotFound { name: name.clone(), near })
    }
}

/// Whether storing `new` would change nothing but the date.
fn is_same(old: &Manifest, new: &Manifest) -> bool {
    Manifest { created_unix: new.created_unix, ..old.clone() } == *new
}
