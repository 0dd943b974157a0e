//! The registry's file lock: one short exclusive section at a time, across processes.
//!
//! Invariant: whoever renames into `blobs/` or `manifests/`, deletes there, or creates or deletes
//! a staging folder holds it, and nobody holds it while waiting for a network or copying a file.
//! The system releases it when its process ends, however that happens.

use std::fs::File;
use std::path::Path;

use crate::error::RegistryError;

const LOCK_FILE: &str = "registry.lock";

/// The lock, held until dropped.
#[derive(Debug)]
pub(crate) struct RegistryLock {
    _file: File,
}

impl RegistryLock {
    /// Waits for the lock, blocking the thread.
    pub(crate) fn take_blocking(root: &Path) -> Result<RegistryLock, RegistryError> {
        let path = root.join(LOCK_FILE);
        let file = open(&path).map_err(RegistryError::io("cannot open the lock file", &path))?;
        file.lock().map_err(RegistryError::io("cannot lock", &path))?;
        Ok(RegistryLock { _file: file })
    }

    /// Waits for the lock.
    pub(crate) async fn take(root: &Path) -> Result<RegistryLock, RegistryError> {
        let root = root.to_owned();
        blocking(move || RegistryLock::take_blocking(&root)).await
    }
}

/// Opens a lock file, creating it where it does not exist.
pub(crate) fn open(path: &Path) -> std::io::Result<File> {
    File::options().create(true).truncate(false).read(true).write(true).open(path)
}

/// Runs blocking file work aside from the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, RegistryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failed) => Err(RegistryError::Io {
            action: "cannot finish work on",
            path: "the model store".into(),
            cause: std::io::Error::other(failed),
        }),
    }
}
