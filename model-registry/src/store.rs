//! Blobs and manifests in the object store: where they lie, and what refers to what.
//!
//! Invariant: [`Store::publish`] and [`Store::sweep`] are called with the registry's lock held.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::error::RegistryError;
use crate::limits::MAX_MANIFEST_BYTES;
use crate::manifest::{FileEntry, Manifest};
use crate::name::{ModelName, SEPARATOR, file_stem, of_file_stem};

const BLOBS: [&str; 2] = ["blobs", "sha256"];
const MANIFESTS: &str = "manifests";

/// The object store with the registry's naming on top.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    objects: Arc<dyn ObjectStore>,
    root: PathBuf,
}

impl Store {
    /// A store in a local folder that exists. Writes and renames are made durable.
    pub(crate) fn local(root: &Path) -> Result<Store, RegistryError> {
        let objects = LocalFileSystem::new_with_prefix(root)?.with_fsync(true);
        Ok(Store { objects: Arc::new(objects), root: root.to_owned() })
    }

    /// Every blob, by its hash.
    pub(crate) async fn blobs(&self) -> Result<BTreeMap<String, ObjectMeta>, RegistryError> {
        let mut blobs = BTreeMap::new();
        let top = self.objects.list_with_delimiter(Some(&StorePath::from_iter(BLOBS))).await?;
        for folder in top.common_prefixes {
            for object in self.objects.list_with_delimiter(Some(&folder)).await?.objects {
                if let Some(hash) = object.location.filename() {
                    blobs.insert(hash.to_owned(), object);
                }
            }
        }
        Ok(blobs)
    }

    /// Whether a blob of that hash and size is in place.
    pub(crate) async fn has(&self, sha256: &str, size: u64) -> Result<bool, RegistryError> {
        Ok(self.size(&blob_path(sha256)).await? == Some(size))
    }

    /// Renames a staged file, which must be durable already, to its blob.
    pub(crate) async fn publish(
        &self,
        staged: &StorePath,
        sha256: &str,
    ) -> Result<(), RegistryError> {
        Ok(self.objects.rename(staged, &blob_path(sha256)).await?)
    }

    /// The local file of a blob, after a look at its size.
    pub(crate) async fn file(&self, entry: &FileEntry) -> Result<PathBuf, String> {
        let found = self.size(&blob_path(&entry.sha256)).await.map_err(|e| e.to_string())?;
        match found {
            Some(size) if size == entry.size => {
                Ok(blob_path(&entry.sha256).parts().fold(self.root.clone(), |mut path, part| {
                    path.push(part.as_ref());
                    path
                }))
            }
            Some(size) => Err(format!("{} has {size} bytes instead of {}", entry.name, entry.size)),
            None => Err(format!("the stored content of {} is gone", entry.name)),
        }
    }

    /// Every manifest by the name of its file: parsed, or why it cannot be.
    pub(crate) async fn manifests(
        &self,
    ) -> Result<BTreeMap<String, Result<Manifest, String>>, RegistryError> {
        let mut manifests = BTreeMap::new();
        let folder = StorePath::from(MANIFESTS);
        for object in self.objects.list_with_delimiter(Some(&folder)).await?.objects {
            let Some(name) = object.location.filename().and_then(|n| n.strip_suffix(".json"))
            else {
                continue;
            };
            let name = of_file_stem(name);
            // Between the listing and here, another process may have removed it.
            if let Some(manifest) = self.manifest(&name).await? {
                manifests.insert(name, manifest);
            }
        }
        Ok(manifests)
    }

    /// The manifest of a name: none, or parsed, or why it cannot be.
    pub(crate) async fn manifest(
        &self,
        name: &str,
    ) -> Result<Option<Result<Manifest, String>>, RegistryError> {
        let got = match self.objects.get(&manifest_path(name)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            got => got?,
        };
        if got.meta.size > MAX_MANIFEST_BYTES {
            return Ok(Some(Err(format!("its manifest has {} bytes", got.meta.size))));
        }
        Ok(Some(parse(name, &got.bytes().await?)))
    }

    /// Puts a staged manifest in place, over an older one of the same name.
    pub(crate) async fn publish_manifest(
        &self,
        manifest: &Manifest,
        staged: &StorePath,
    ) -> Result<(), RegistryError> {
        let json = serde_json::to_vec_pretty(manifest).map_err(|e| RegistryError::Damaged {
            name: manifest.name.to_string(),
            reason: e.to_string(),
        })?;
        self.objects.put(staged, json.into()).await?;
        Ok(self.objects.rename(staged, &manifest_path(manifest.name.as_str())).await?)
    }

    /// Deletes a manifest.
    pub(crate) async fn delete_manifest(&self, name: &ModelName) -> Result<(), RegistryError> {
        Ok(self.objects.delete(&manifest_path(name.as_str())).await?)
    }

    /// Deletes the blobs that no manifest refers to: what a removed or replaced model leaves, or a
    /// crash just before its manifest was in place. Returns the bytes freed.
    pub(crate) async fn sweep(&self) -> Result<u64, RegistryError> {
        let mut referred = BTreeSet::new();
        for (name, manifest) in self.manifests().await? {
            match manifest {
                Ok(manifest) => referred.extend(manifest.files.into_iter().map(|f| f.sha256)),
                Err(reason) => {
                    tracing::warn!(name, reason, "unreadable manifest: no files are deleted");
                    return Ok(0);
                }
            }
        }
        let mut freed = 0;
        for (hash, object) in self.blobs().await? {
            if !referred.contains(&hash) {
                self.objects.delete(&object.location).await?;
                freed += object.size;
            }
        }
        Ok(freed)
    }

    /// The manifest of a name, as [`manifest`](Self::manifest) has it, straight from the disk.
    pub(crate) fn manifest_blocking(
        &self,
        name: &str,
    ) -> Result<Option<Result<Manifest, String>>, RegistryError> {
        let path = self.root.join(MANIFESTS).join(format!("{}.json", file_stem(name)));
        let failed = |cause| RegistryError::io("cannot read", &path)(cause);
        let file = match std::fs::File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_MANIFEST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(parse(name, &bytes)))
    }

    /// The names of all adapters, sorted, straight from the disk.
    pub(crate) fn adapter_names_blocking(&self) -> Result<Vec<String>, RegistryError> {
        let folder = self.root.join(MANIFESTS);
        let failed = |cause| RegistryError::io("cannot read", &folder)(cause);
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(failed)?.file_name();
            let stem = file.to_str().and_then(|name| name.strip_suffix(".json"));
            names.extend(stem.map(of_file_stem).filter(|name| name.contains(SEPARATOR)));
        }
        names.sort_unstable();
        Ok(names)
    }

    async fn size(&self, path: &StorePath) -> Result<Option<u64>, RegistryError> {
        match self.objects.head(path).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn blob_path(sha256: &str) -> StorePath {
    let folder = sha256.get(..2).unwrap_or_default();
    StorePath::from_iter([BLOBS[0], BLOBS[1], folder, sha256])
}

/// The manifest of that name, which must be its own.
fn parse(name: &str, bytes: &[u8]) -> Result<Manifest, String> {
    let manifest = Manifest::parse(bytes)?;
    match manifest.name.as_str() == name {
        true => Ok(manifest),
        false => Err(format!("its manifest is that of {:?}", manifest.name.as_str())),
    }
}

fn manifest_path(name: &str) -> StorePath {
    StorePath::from_iter([MANIFESTS, &format!("{}.json", file_stem(name))])
}
