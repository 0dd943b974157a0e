//! Who uses a database file: a lock beside it, which ends with the process however that ends.
//!
//! Invariant: who serves from the file shares the lock, and who replaces the file has it alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::StoreError;

/// For another process to open the file, or to replace it.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct FileLock(File);

impl FileLock {
    /// The lock of a database, and whether nobody else has it: then it is held alone.
    pub(crate) async fn acquire(database: &Path) -> Result<(Self, bool), StoreError> {
        let mut lock = Self::open(database)?;
        if lock.try_alone()? {
            return Ok((lock, true));
        }
        lock.share().await?;
        Ok((lock, false))
    }

    /// Shares the lock from now on.
    pub(crate) async fn share(&mut self) -> Result<(), StoreError> {
        // What a second lock does to the first differs between systems.
        self.0.unlock()?;
        let end = Instant::now() + PATIENCE;
        while !is_taken(self.0.try_lock_shared())? {
            if Instant::now() > end {
                return Err(StoreError::Restoring);
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// The lock of a database, held by nobody yet.
    pub(crate) fn open(database: &Path) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self(options.open(path_of(database))?))
    }

    /// Takes the lock alone, if nobody has it.
    pub(crate) fn try_alone(&mut self) -> Result<bool, StoreError> {
        is_taken(self.0.try_lock())
    }
}

fn path_of(database: &Path) -> PathBuf {
    let mut path = database.to_owned().into_os_string();
    path.push(".lock");
    path.into()
}

fn is_taken(result: Result<(), TryLockError>) -> Result<bool, StoreError> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
