//! The database: opened, brought up to date, and asked within a time limit.
//!
//! Invariant: one connection writes, so writers of this process never wait for a lock they cannot
//! get; a commit is on disk before it returns. SQLite's work runs on threads of its own.

use std::fs::OpenOptions;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{SqlStr, Sqlite, Transaction};

use crate::{Limits, StoreError};

const MIGRATIONS: [(i64, &str, &str); 1] =
    [(1, "kept", include_str!("../migrations/0001_kept.sql"))];
/// Connections that read.
const NUM_READERS: u32 = 4;
/// For a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What is kept; cloning shares it.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    writer: SqlitePool,
    readers: SqlitePool,
    limits: Limits,
}

impl Store {
    /// Opens the database in a file, which is made if there is none, and ends what an earlier
    /// process left unfinished.
    ///
    /// # Errors
    /// If the file cannot be made, is no database, or is of a newer version.
    pub async fn open(path: &Path, limits: Limits) -> Result<Self, StoreError> {
        create_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // Each commit reaches the disk before it is acknowledged.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            // What is deleted is overwritten.
            .pragma("secure_delete", "ON")
            .optimize_on_close(false, None);
        let pool =
            |num| SqlitePoolOptions::new().max_connections(num).acquire_timeout(limits.timeout);
        let writer = pool(1).connect_with(options.clone()).await?;
        migrator().run(&writer).await?;
        let readers = pool(NUM_READERS).connect_with(options.read_only(true)).await?;
        let store = Self(Arc::new(Inner { writer, readers, limits }));
        store.fail_unfinished().await?;
        Ok(store)
    }

    /// Waits for what is being written, and closes the file.
    pub async fn close(&self) {
        self.0.readers.close().await;
        self.0.writer.close().await;
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.0.readers
    }

    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.0.writer.begin().await?)
    }

    /// Does `work`, or gives up on it: a transaction that is dropped is rolled back.
    pub(crate) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let in_time = tokio::time::timeout(self.0.limits.timeout, work).await;
        in_time.unwrap_or(Err(StoreError::Timeout))
    }

    /// Removes one row by a statement that returns its bytes.
    pub(crate) async fn remove(
        &self,
        sql: &'static str,
        tenant: &str,
        id: &str,
        not_found: fn(&str) -> StoreError,
    ) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write().await?;
            let removed = sqlx::query_as(sql).bind(tenant).bind(id);
            let removed = removed.fetch_optional(&mut *transaction).await?;
            let (num_bytes,): (i64,) = removed.ok_or_else(|| not_found(id))?;
            self.charge(&mut transaction, tenant, (-1, -num_bytes)).await?;
            Ok(transaction.commit().await?)
        };
        self.in_time(work).await
    }

    /// When something made or touched now expires.
    pub(crate) fn expiry(&self) -> i64 {
        let retention = i64::try_from(self.0.limits.retention.as_secs()).unwrap_or(i64::MAX);
        now().saturating_add(retention)
    }
}

/// Unix time in seconds.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

fn migrator() -> Migrator {
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        let (kind, sql) = (MigrationType::Simple, SqlStr::from_static(sql));
        Migration::new(version, name.into(), kind, sql, false)
    };
    Migrator::with_migrations(MIGRATIONS.into_iter().map(migration).collect())
}

/// Makes an empty file that only its owner can read; SQLite's other files take after it.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
