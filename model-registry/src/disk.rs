//! Whether there is room on the registry's disk for what is about to be stored.
//!
//! Invariant: it is asked before a byte is written, and where the system does not say how much is
//! free, nothing is refused.

use std::path::Path;

use crate::error::RegistryError;

/// Refuses to store `needed` bytes more below `root` than its disk has free.
pub(crate) fn check(root: &Path, needed: u64) -> Result<(), RegistryError> {
    match free(root) {
        Some(free) if needed > free => {
            Err(RegistryError::NoRoom { path: root.to_owned(), needed, free })
        }
        _ => Ok(()),
    }
}

/// Bytes that this process may still write to the file system of `path`.
#[cfg(unix)]
fn free(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}
