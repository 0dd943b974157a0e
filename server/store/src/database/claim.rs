//! Which process keeps the books of a database: limits are counted in the memory of one.
//!
//! Invariant: one process has it at most, and it ends with that process, however it ends. On
//! PostgreSQL it ends with its connection, too: who loses that serves on, and another may begin.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use super::{Database, connect_postgres};
use crate::StoreError;

/// For a process that was just killed, of which a server may not know yet.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);
/// `24935` is ours.
const CLAIM: &str = "SELECT pg_try_advisory_lock(24935, 2)";

/// While it lives, no other process has one of the same database.
#[derive(Debug)]
pub struct BooksClaim {
    _held: Held,
}

#[derive(Debug)]
enum Held {
    File { _lock: File },
    Session { _connection: Box<PgConnection> },
}

/// The claim of a database, if no other process has it.
///
/// # Errors
/// If the database cannot be reached.
pub async fn claim_books(database: &Database) -> Result<Option<BooksClaim>, StoreError> {
    let end = Instant::now() + PATIENCE;
    let held = match database {
        Database::File(path) => {
            let lock = open(path)?;
            loop {
                match lock.try_lock() {
                    Ok(()) => break Some(Held::File { _lock: lock }),
                    Err(TryLockError::Error(error)) => return Err(error.into()),
                    Err(TryLockError::WouldBlock) if Instant::now() >= end => break None,
                    Err(TryLockError::WouldBlock) => sleep(PAUSE).await,
                }
            }
        }
        Database::Postgres(options) => {
            let mut connection = connect_postgres(options).await?;
            loop {
                let claim = sqlx::query_as(CLAIM).fetch_one(&mut connection);
                let (is_ours,): (bool,) = claim.await?;
                if is_ours {
                    break Some(Held::Session { _connection: Box::new(connection) });
                }
                if Instant::now() >= end {
                    break None;
                }
                sleep(PAUSE).await;
            }
        }
    };
    Ok(held.map(|held| BooksClaim { _held: held }))
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
