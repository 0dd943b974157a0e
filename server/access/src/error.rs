//! Why a server cannot begin.

use std::path::PathBuf;
use std::time::Duration;

use server_metering::JournalError;
use server_store::StoreError;

/// Why accounts or the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal of usage failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The folder of journals cannot be read or made.
    #[error("cannot use the folder {folder}: {source}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The system has no thread for the ledger.
    #[error("cannot start a thread for the ledger: {0}")]
    Thread(std::io::Error),
    /// What was used before is not in the ledger, so budgets cannot be known.
    #[error(
        "the ledger has not taken what earlier processes left in {0:?}: {1}; the server does not \
         start, since it would not know what was spent"
    )]
    Behind(Duration, String),
    /// Too many processes share the folder.
    #[error("{0} processes use the journals in this data directory already: give each its own")]
    TooMany(usize),
}
