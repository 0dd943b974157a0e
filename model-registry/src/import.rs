//! Import of a local GGUF file or Hugging Face folder.
//!
//! Invariant: bytes are hashed as they are copied, in pieces; what is committed is what was
//! hashed, even where the source changes meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::adapter::check_name;
use crate::disk;
use crate::error::RegistryError;
use crate::layout;
use crate::limits::{COPY_BUFFER_BYTES, MAX_COMMIT_ATTEMPTS};
use crate::lock::blocking;
use crate::manifest::{FileEntry, Manifest, hex};
use crate::name::ModelName;
use crate::progress::Progress;
use crate::registry::{Gathered, Registry};
use crate::source::{Source, inspect, refused};
use crate::stage::Stage;
use crate::workspace::Workspace;

/// Where a model comes from.
pub(crate) struct Origin {
    /// As its manifest will say it.
    pub(crate) told: String,
    /// Whether its files are ours alone, so that they can be taken without copying.
    pub(crate) ours: bool,
}

impl Registry {
    /// Stores the model at `path`, a GGUF file or a Hugging Face folder, as `name`, in place of a
    /// model that has the name already. Content that is stored already is not copied again.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] says what is wrong with `path` and what to do,
    /// [`RegistryError::NoRoom`], before anything is copied, that the disk is too full; the others
    /// tell of a disk that cannot be read or written. In each case the registry is as it was.
    pub async fn import(
        &self,
        path: &Path,
        name: &ModelName,
        progress: &dyn Progress,
    ) -> Result<Manifest, RegistryError> {
        let from = path.to_owned();
        check_name(name).map_err(|reason| refused(path, reason))?;
        let (source, path) = blocking(move || Ok((inspect(&from)?, absolute(&from)?))).await?;
        let origin = Origin { told: format!("file:{}", path.display()), ours: false };
        self.store(&source, name, &origin, progress).await
    }

    /// Stores what was made in `workspace`, likewise; its manifest says that it is from `origin`.
    /// Files are linked into place where the file system can do that, and nothing is copied.
    ///
    /// # Errors
    /// As [`import`](Self::import).
    pub async fn import_made(
        &self,
        workspace: &Workspace,
        (name, origin): (&ModelName, String),
        progress: &dyn Progress,
    ) -> Result<Manifest, RegistryError> {
        let from = workspace.dir();
        let source = blocking(move || inspect(&from)).await?;
        let origin = Origin { told: origin, ours: true };
        self.store(&source, name, &origin, progress).await
    }

    /// Stores a source's files, as often as others get in the way.
    pub(crate) async fn store(
        &self,
        source: &Source,
        name: &ModelName,
        origin: &Origin,
        progress: &dyn Progress,
    ) -> Result<Manifest, RegistryError> {
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let stage = Stage::for_import(&self.root).await?;
            let stored = self.store_once((source, origin), name, &stage, progress).await;
            stage.close().await?;
            if let Some(manifest) = stored? {
                return Ok(manifest);
            }
        }
        Err(RegistryError::Busy { what: name.to_string() })
    }

    /// Gathers and commits; `None` when a blob counted on was removed meanwhile.
    async fn store_once(
        &self,
        (source, origin): (&Source, &Origin),
        name: &ModelName,
        stage: &Stage,
        progress: &dyn Progress,
    ) -> Result<Option<Manifest>, RegistryError> {
        let stored_sizes = self.store.blobs().await?.values().map(|blob| blob.size).collect();
        let links = origin.ours;
        let copying = Copying { registry: self, stage, stored_sizes, links, progress };
        // First what takes no room: what is left over has to fit, all of it.
        let mut found = Vec::with_capacity(source.files.len());
        for (idx, (file, path)) in source.files.iter().enumerate() {
            found.push(copying.find((file, path), format!("{idx}.part")).await?);
        }
        disk::check(&self.root, found.iter().map(Found::takes).fold(0, u64::saturating_add))?;
        let mut gathered = Vec::with_capacity(found.len());
        for (idx, ((file, path), found)) in source.files.iter().zip(found).enumerate() {
            gathered.push(match found {
                Found::Gathered(gathered) => gathered,
                Found::Missing(_) => copying.copy((file, path), format!("{idx}.part")).await?,
            });
        }
        let entries = gathered.iter().map(|file| file.entry.clone()).collect();
        let manifest = Manifest::new(name.clone(), source.format, entries, origin.told.clone());
        let manifest = Manifest { adapter_of: source.adapter_of.clone(), ..manifest };
        self.commit(manifest, &gathered, stage).await
    }
}

/// What all files of one import have in common.
struct Copying<'a> {
    registry: &'a Registry,
    stage: &'a Stage,
    stored_sizes: BTreeSet<u64>,
    /// Whether files are linked rather than copied: nobody else writes to them.
    links: bool,
    progress: &'a dyn Progress,
}

/// A file of the source before anything is copied.
enum Found {
    /// Its content is stored, or it was linked.
    Gathered(Gathered),
    /// It has to be copied: so many bytes.
    Missing(u64),
}

impl Found {
    /// Bytes of the disk that it will take.
    fn takes(&self) -> u64 {
        match self {
            Self::Gathered(_) => 0,
            Self::Missing(size) => *size,
        }
    }
}

impl Copying<'_> {
    /// Hashes one file if it may be had without a copy.
    async fn find(
        &self,
        (name, path): (&str, &Path),
        staged: String,
    ) -> Result<Found, RegistryError> {
        let (mut file, size) = open(name, path).await?;
        let to = self.stage.path(&staged);
        let linked = self.links && fs::hard_link(path, &to).is_ok();
        // Only where some blob has this size can the content be stored already: then hashing
        // first saves the copy. Otherwise one pass does both.
        if !linked && !self.stored_sizes.contains(&size) {
            return Ok(Found::Missing(size));
        }
        self.progress.start(name, Some(size));
        let sha256 = hash_and_copy((&mut file, path), size, None, self.progress).await?;
        self.progress.finish();
        let entry = FileEntry { name: name.to_owned(), size, sha256 };
        if self.registry.store.has(&entry.sha256, size).await? {
            self.progress.reused(name, size);
            return Ok(Found::Gathered(Gathered { entry, staged: None }));
        }
        if !linked {
            return Ok(Found::Missing(size));
        }
        file.sync_all().await.map_err(RegistryError::io("cannot write", &to))?;
        Ok(Found::Gathered(Gathered { entry, staged: Some(staged) }))
    }

    /// Hashes one file and copies it to the staging folder.
    async fn copy(
        &self,
        (name, path): (&str, &Path),
        staged: String,
    ) -> Result<Gathered, RegistryError> {
        let (mut file, size) = open(name, path).await?;
        let to = self.stage.path(&staged);
        self.progress.start(name, Some(size));
        let sha256 = hash_and_copy((&mut file, path), size, Some(&to), self.progress).await?;
        self.progress.finish();
        let entry = FileEntry { name: name.to_owned(), size, sha256 };
        Ok(Gathered { entry, staged: Some(staged) })
    }
}

/// A file of the source, and its size.
async fn open(name: &str, path: &Path) -> Result<(File, u64), RegistryError> {
    let file = File::open(path).await.map_err(RegistryError::io("cannot read", path))?;
    let size = file.metadata().await.map_err(RegistryError::io("cannot read", path))?.len();
    layout::check_size(name, Some(size)).map_err(|reason| refused(path, reason))?;
    Ok((file, size))
}

/// The SHA-256 of the `size` bytes of `file`, which are copied to `to`, durably, where it is given.
async fn hash_and_copy(
    (file, path): (&mut File, &Path),
    size: u64,
    to: Option<&Path>,
    progress: &dyn Progress,
) -> Result<String, RegistryError> {
    let mut copy = match to {
        Some(to) => {
            let file = File::create(to).await.map_err(RegistryError::io("cannot create", to))?;
            Some((file, to))
        }
        None => None,
    };
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    let mut total = 0;
    loop {
        let read = file.read(&mut buffer).await.map_err(RegistryError::io("cannot read", path))?;
        total += read as u64;
        if total > size || (read == 0 && total < size) {
            let reason = "it changed while it was being read; try again".to_owned();
            return Err(refused(path, reason));
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        hasher.update(bytes);
        if let Some((file, to)) = &mut copy {
            file.write_all(bytes).await.map_err(RegistryError::io("cannot write", to))?;
        }
        progress.advance(read as u64);
        if read == 0 {
            break;
        }
    }
    if let Some((mut file, to)) = copy {
        file.flush().await.map_err(RegistryError::io("cannot write", to))?;
        file.sync_all().await.map_err(RegistryError::io("cannot write", to))?;
    }
    Ok(hex(&hasher.finalize()))
}

pub(crate) fn absolute(path: &Path) -> Result<PathBuf, RegistryError> {
    std::path::absolute(path).map_err(RegistryError::io("cannot read", path))
}
