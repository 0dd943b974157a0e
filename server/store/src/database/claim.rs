//! Which process keeps the books of a file: its limits are counted in the memory of one. Those of
//! PostgreSQL are lent, to as many as there are.
//!
//! Invariant: one process has it at most, and it ends with that process, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::StoreError;

/// For a process that was just killed, of which the system may not know yet.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);

/// While it lives, no other process has one of the same database.
#[derive(Debug)]
pub struct BooksClaim {
    _lock: File,
}

/// The claim of a database's file, if no other process has it.
///
/// # Errors
/// If the file of the lock cannot be made.
pub async fn claim_books(database: &Path) -> Result<Option<BooksClaim>, StoreError> {
    let end = Instant::now() + PATIENCE;
    let lock = open(database)?;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(Some(BooksClaim { _lock: lock })),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => return Ok(None),
            Err(TryLockError::WouldBlock) => sleep(PAUSE).await,
        }
    }
}

/// The file of the lock, beside the database.
fn open(database: &Path) -> Result<File, StoreError> {
    let mut path = database.to_owned().into_os_string();
    path.push(".books");
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok(options.open(path)?)
}
