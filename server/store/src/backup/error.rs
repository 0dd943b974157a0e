//! Why a backup is not written or restored.

use std::path::PathBuf;

use crate::StoreError;

/// An error of a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A backup is never written over something.
    #[error("{0} is there already: name a new file")]
    Exists(PathBuf),
    /// There is nothing to back up.
    #[error("there is no database {0}")]
    Missing(PathBuf),
    /// Something else.
    #[error("{0} is no backup: `agentbase backup` writes them")]
    NotABackup(PathBuf),
    /// Not as it was written.
    #[error("{file} is damaged ({why}): take another copy of it, or another backup")]
    Damaged {
        /// The backup.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Written by a newer program.
    #[error("{file} is of version {theirs}, this program knows {ours}: use a newer one")]
    Newer {
        /// The backup.
        file: PathBuf,
        /// Its version.
        theirs: i64,
        /// The newest that is known.
        ours: i64,
    },
    /// Migrated by a newer program.
    #[error("the database is of version {theirs}, this program knows {ours}: use a newer one")]
    NewerDatabase {
        /// Its version.
        theirs: i64,
        /// The newest that is known.
        ours: i64,
    },
    /// Someone has it open.
    #[error("another process uses the database: stop its servers first")]
    InUse,
    /// It holds something.
    #[error("the database is not empty: --force replaces what it holds")]
    NotEmpty,
    /// A migration brought what backups do not know yet.
    #[error("column {0} is of a type that backups do not hold")]
    Column(String),
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    /// What happened to a file.
    pub(super) fn of(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { path, error }
    }
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<sqlx::migrate::MigrateError> for BackupError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self::Store(error.into())
    }
}
