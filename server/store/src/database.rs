//! The database: opened, brought up to date, and asked within a time limit.
//!
//! Invariant: a tenant's writers take turns, on SQLite all writers do, so none waits for a lock it
//! cannot get; a commit is on disk before it returns.

mod claim;
mod lock;
mod place;
mod postgres;
mod presence;
mod project;
mod sqlite;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

pub use self::claim::{BooksClaim, claim_books};
pub(crate) use self::lock::FileLock;
pub use self::place::Database;
pub(crate) use self::postgres::{RESTORE_OR_SERVE, connect as connect_postgres};
pub(crate) use self::presence::Presence;
pub(crate) use self::project::names;
pub(crate) use self::sqlite::{connect as connect_sqlite, create_private};
use crate::sql::{SEE_EVERY_TENANT, Transaction};
use crate::{Limits, StoreError};

const SECONDS_PER_DAY: u64 = 86_400;

/// What is kept; cloning shares it.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
    /// How long what it writes is kept.
    retention: Duration,
}

#[derive(Debug)]
struct Inner {
    pools: Pools,
    /// What tells other processes that this one uses the database.
    presence: Mutex<Option<Presence>>,
    process: i64,
    limits: Limits,
}

#[derive(Debug)]
enum Pools {
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    Postgres(PgPool),
}

impl Store {
    /// Opens a database, a file is made if there is none, and ends what processes that are no more
    /// left unfinished.
    ///
    /// # Errors
    /// If the file cannot be made or the server not be reached; if it is no database, is of a newer
    /// version, or is being restored.
    pub async fn open(database: &Database, limits: Limits) -> Result<Self, StoreError> {
        match database {
            Database::File(path) => {
                let (mut lock, alone) = FileLock::acquire(path).await?;
                let (writer, readers) = sqlite::open(path, limits.timeout).await?;
                let store = Self::new(Pools::Sqlite { writer, readers }, 0, limits);
                // Who is alone knows that nobody works on what is unfinished.
                if alone {
                    store.fail_unfinished().await?;
                    lock.share().await?;
                }
                store.announce(Presence::File(lock));
                Ok(store)
            }
            Database::Postgres(options) => {
                let (pool, presence) = postgres::open(options, limits.timeout).await?;
                let store = Self::new(Pools::Postgres(pool), presence.process(), limits);
                store.announce(Presence::Session(presence));
                store.fail_unfinished().await?;
                Ok(store)
            }
        }
    }

    fn new(pools: Pools, process: i64, limits: Limits) -> Self {
        let retention = limits.retention;
        let inner = Inner { pools, presence: Mutex::new(None), process, limits };
        Self { inner: Arc::new(inner), retention }
    }

    fn announce(&self, presence: Presence) {
        *self.inner.presence.lock().unwrap_or_else(PoisonError::into_inner) = Some(presence);
    }

    /// Waits for what is being written, and closes the database.
    pub async fn close(&self) {
        match &self.inner.pools {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
        let presence = self.inner.presence.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(presence) = presence {
            presence.end().await;
        }
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The same store, which keeps what it writes for so many days; as all do, if none are given.
    #[must_use]
    pub fn keeping_for(&self, days: Option<u32>) -> Self {
        let of_days = |days: u32| Duration::from_secs(u64::from(days) * SECONDS_PER_DAY);
        let retention = days.map_or(self.inner.limits.retention, of_days);
        Self { inner: Arc::clone(&self.inner), retention }
    }

    /// Whether other processes may serve from it at once.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.inner.pools, Pools::Postgres(_))
    }

    /// The number that others know this process by; on SQLite, 0.
    #[must_use]
    pub fn process(&self) -> i64 {
        self.inner.process
    }

    /// A transaction that sees one tenant's rows; it is not committed.
    pub(crate) async fn read(&self, tenant: &str) -> Result<Transaction, StoreError> {
        match &self.inner.pools {
            Pools::Sqlite { readers, .. } => Ok(Transaction::Sqlite(readers.begin().await?)),
            Pools::Postgres(pool) => postgres::begin(pool, postgres::OF_TENANT, tenant).await,
        }
    }

    /// A transaction that writes one tenant's rows, when its other writers are done.
    pub(crate) async fn write(&self, tenant: &str) -> Result<Transaction, StoreError> {
        match &self.inner.pools {
            Pools::Sqlite { writer, .. } => sqlite::begin(writer).await,
            Pools::Postgres(pool) => postgres::begin(pool, postgres::TURN_OF_TENANT, tenant).await,
        }
    }

    /// A transaction that writes what is lent of one tenant's limits, when nobody else does.
    pub(crate) async fn write_leases(&self, tenant: &str) -> Result<Transaction, StoreError> {
        match &self.inner.pools {
            Pools::Sqlite { writer, .. } => sqlite::begin(writer).await,
            Pools::Postgres(pool) => postgres::begin(pool, postgres::TURN_OF_LEASES, tenant).await,
        }
    }

    /// A transaction that sees all tenants' rows as they are at one moment; it is not committed.
    pub(crate) async fn read_every(&self) -> Result<Transaction, StoreError> {
        match &self.inner.pools {
            Pools::Sqlite { readers, .. } => Ok(Transaction::Sqlite(readers.begin().await?)),
            Pools::Postgres(pool) => postgres::begin_moment(pool).await,
        }
    }

    /// A transaction that writes rows of several tenants, when their other writers are done.
    pub(crate) async fn write_several(
        &self,
        tenants: &BTreeSet<&str>,
    ) -> Result<Transaction, StoreError> {
        match &self.inner.pools {
            Pools::Sqlite { writer, .. } => sqlite::begin(writer).await,
            Pools::Postgres(pool) => postgres::begin_several(pool, tenants).await,
        }
    }

    /// A transaction of housekeeping, which sees all tenants' rows.
    pub(crate) async fn write_every(&self) -> Result<Transaction, StoreError> {
        match &self.inner.pools {
            Pools::Sqlite { writer, .. } => sqlite::begin(writer).await,
            Pools::Postgres(pool) => postgres::begin(pool, postgres::EVERY_TENANT, "on").await,
        }
    }

    /// The same beside others: for what needs no turns.
    pub(crate) async fn write_every_unlocked(&self) -> Result<Transaction, StoreError> {
        match &self.inner.pools {
            Pools::Sqlite { writer, .. } => sqlite::begin(writer).await,
            Pools::Postgres(pool) => postgres::begin(pool, postgres::OF_EVERY_TENANT, "on").await,
        }
    }

    /// The same, for who adds to the ledger, beside others who do.
    pub(crate) async fn write_ledger(&self) -> Result<Transaction, StoreError> {
        match &self.inner.pools {
            Pools::Sqlite { writer, .. } => sqlite::begin(writer).await,
            Pools::Postgres(pool) => postgres::begin(pool, postgres::TO_LEDGER, "on").await,
        }
    }

    /// The same when nobody else adds to it. Nothing else may be locked meanwhile.
    pub(crate) async fn write_ledger_alone(&self) -> Result<Transaction, StoreError> {
        match &self.inner.pools {
            Pools::Sqlite { writer, .. } => sqlite::begin(writer).await,
            Pools::Postgres(pool) => postgres::begin(pool, postgres::TO_LEDGER_ALONE, "on").await,
        }
    }

    /// A transaction that writes one tenant's rows, when its other writers are done, and of others
    /// what they all have in common.
    pub(crate) async fn write_beside_every(&self, tenant: &str) -> Result<Transaction, StoreError> {
        let mut transaction = self.write(tenant).await?;
        if let Transaction::Postgres(inner) = &mut transaction {
            sqlx::query(SEE_EVERY_TENANT).execute(&mut **inner).await?;
        }
        Ok(transaction)
    }

    /// A transaction that reads all tenants' rows while nobody does housekeeping.
    pub(crate) async fn read_every_locked(&self) -> Result<Transaction, StoreError> {
        match &self.inner.pools {
            Pools::Sqlite { readers, .. } => Ok(Transaction::Sqlite(readers.begin().await?)),
            Pools::Postgres(pool) => postgres::begin(pool, postgres::EVERY_TENANT, "on").await,
        }
    }

    /// Fails what processes left that ended without this one, where others may share the database.
    pub(crate) async fn fail_left(&self) -> Result<(), StoreError> {
        match &self.inner.pools {
            Pools::Sqlite { .. } => Ok(()),
            Pools::Postgres(_) => self.in_time(self.fail_unfinished()).await,
        }
    }

    /// Does `work`, or gives up on it: a transaction that is dropped is rolled back.
    pub(crate) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        within(self.inner.limits.timeout, work).await
    }

    /// When something made or touched now expires.
    pub(crate) fn expiry(&self) -> i64 {
        let retention = i64::try_from(self.retention.as_secs()).unwrap_or(i64::MAX);
        now().saturating_add(retention)
    }
}

/// Does `work`, or gives up on it when its time is over.
pub(crate) async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(StoreError::Timeout))
}

/// From here on a transaction writes the rows of another tenant, when its other writers are done.
/// So that none waits for one that waits for it, a person's turn comes before an organization's,
/// and organizations' come in the order of their ids.
pub(crate) async fn turn_to(transaction: &mut Transaction, tenant: &str) -> Result<(), StoreError> {
    if let Transaction::Postgres(inner) = transaction {
        sqlx::query(postgres::TURN_OF_TENANT).bind(tenant).execute(&mut **inner).await?;
    }
    Ok(())
}

/// Unix time in seconds.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

/// The same in milliseconds.
pub(crate) fn millis() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}
