//! Staging: the folder where one import or pull gathers its files before they are renamed into
//! place.
//!
//! Invariant: a staging folder is used only by the process that holds the lock on its `lock` file.
//! Folders whose owner is gone are deleted by whoever stages next: those of imports at once, those
//! of pulls, from which a cut download goes on, after [`KEEP_PARTIAL`].

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use object_store::path::Path as StorePath;

use crate::error::RegistryError;
use crate::limits::KEEP_PARTIAL;
use crate::lock::{RegistryLock, blocking, open};

const STAGING: &str = "staging";
const OWNER: &str = "lock";
const PULL: &str = "pull-";

/// One staging folder, owned until dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    root: PathBuf,
    key: String,
    /// Holding it open and locked is what tells others that the folder is in use.
    owner: File,
}

impl Stage {
    /// A fresh folder for an import.
    pub(crate) async fn for_import(root: &Path) -> Result<Stage, RegistryError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Stage::open(root, format!("import-{}-{count}", std::process::id()), "this model").await
    }

    /// The folder for a pull known by `key`, with what an earlier try left there.
    pub(crate) async fn for_pull(
        root: &Path,
        key: &str,
        what: &str,
    ) -> Result<Stage, RegistryError> {
        Stage::open(root, format!("{PULL}{key}"), what).await
    }

    async fn open(root: &Path, key: String, what: &str) -> Result<Stage, RegistryError> {
        let (root, what) = (root.to_owned(), what.to_owned());
        blocking(move || {
            let _lock = RegistryLock::take_blocking(&root)?;
            clean(&root)?;
            let dir = root.join(STAGING).join(&key);
            let failed = |e| RegistryError::io("cannot create", &dir)(e);
            fs::create_dir_all(&dir).map_err(failed)?;
            let owner = open(&dir.join(OWNER)).map_err(failed)?;
            match owner.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(RegistryError::Busy { what }),
                Err(TryLockError::Error(e)) => return Err(failed(e)),
            }
            // The age of what is kept counts from here.
            owner.set_modified(SystemTime::now()).map_err(failed)?;
            Ok(Stage { root, key, owner })
        })
        .await
    }

    /// Where a file of that name lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(STAGING).join(&self.key).join(name)
    }

    /// The same place, as the object store names it.
    pub(crate) fn store_path(&self, name: &str) -> StorePath {
        StorePath::from_iter([STAGING, &self.key, name])
    }

    /// Deletes the folder with all that is in it.
    pub(crate) async fn close(self) -> Result<(), RegistryError> {
        blocking(move || {
            let Stage { root, key, owner } = self;
            let _lock = RegistryLock::take_blocking(&root)?;
            let dir = root.join(STAGING).join(&key);
            // Some systems delete no file that is open.
            drop(owner);
            fs::remove_dir_all(&dir).map_err(RegistryError::io("cannot delete", &dir))
        })
        .await
    }
}

/// Deletes the folders that nobody owns any more. The caller holds the registry's lock, so no
/// folder can gain an owner meanwhile.
pub(crate) fn clean(root: &Path) -> Result<(), RegistryError> {
    let staging = root.join(STAGING);
    let failed = |e| RegistryError::io("cannot clean", &staging)(e);
    fs::create_dir_all(&staging).map_err(failed)?;
    for entry in fs::read_dir(&staging).map_err(failed)? {
        let dir = entry.map_err(failed)?.path();
        if is_abandoned(&dir) {
            tracing::info!(dir = %dir.display(), "deleting what an interrupted import left");
            fs::remove_dir_all(&dir).map_err(failed)?;
        }
    }
    Ok(())
}

fn is_abandoned(dir: &Path) -> bool {
    // Whoever was killed between creating the folder and its lock file leaves none.
    let Ok(owner) = File::options().read(true).write(true).open(dir.join(OWNER)) else {
        return dir.is_dir();
    };
    if owner.try_lock().is_err() {
        return false;
    }
    let is_pull = dir.file_name().is_some_and(|n| n.to_string_lossy().starts_with(PULL));
    let modified = owner.metadata().and_then(|meta| meta.modified());
    let is_old = modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > KEEP_PARTIAL));
    !is_pull || is_old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_has_one_owner_and_goes_with_it_unless_it_is_a_recent_pull() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let import = Stage::for_import(root).await.unwrap();
        let pull = Stage::for_pull(root, "k", "hf:a/b").await.unwrap();
        fs::write(import.path("x"), "x").unwrap();
        fs::write(pull.path("part"), "x").unwrap();
        let busy = Stage::for_pull(root, "k", "hf:a/b").await.unwrap_err();
        assert!(busy.to_string().contains("hf:a/b is being stored"), "{busy}");
        let (in_import, in_pull) = (import.path("x"), pull.path("part"));
        assert!(in_import.exists() && in_pull.exists(), "an owned folder was cleaned");

        drop((import, pull));
        clean(root).unwrap();
        assert!(!in_import.exists() && in_pull.exists());
        let old = SystemTime::now() - KEEP_PARTIAL - KEEP_PARTIAL;
        open(&in_pull.with_file_name(OWNER)).unwrap().set_modified(old).unwrap();
        clean(root).unwrap();
        assert!(!in_pull.exists());
    }
}
