//! What brings a database up to date.
//!
//! Invariant: a migration that was published never changes. They expand first and contract later:
//! a server of the version before goes on beside one that has migrated.

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection, SqlStr};

use crate::StoreError;
use crate::database::{Database, FileLock, connect_postgres, connect_sqlite, create_private};

/// Where a migration is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Both,
    Sqlite,
    Postgres,
}

const MIGRATIONS: [(i64, &str, On, &str); 15] = [
    (1, "kept", On::Both, include_str!("../migrations/0001_kept.sql")),
    (2, "process", On::Both, include_str!("../migrations/0002_process.sql")),
    (3, "row security", On::Postgres, include_str!("../migrations/0003_row_security.postgres.sql")),
    (4, "accounts", On::Both, include_str!("../migrations/0004_accounts.sql")),
    (5, "ledger", On::Both, include_str!("../migrations/0005_ledger.sql")),
    (6, "row security of accounts", On::Postgres, ROW_SECURITY_OF_ACCOUNTS),
    (7, "alerts", On::Both, include_str!("../migrations/0007_alerts.sql")),
    (8, "row security of alerts", On::Postgres, ROW_SECURITY_OF_ALERTS),
    (9, "billing", On::Both, include_str!("../migrations/0009_billing.sql")),
    (10, "row security of billing", On::Postgres, ROW_SECURITY_OF_BILLING),
    (11, "leases", On::Both, include_str!("../migrations/0011_leases.sql")),
    (12, "row security of leases", On::Postgres, ROW_SECURITY_OF_LEASES),
    (15, "letters", On::Both, include_str!("../migrations/0015_letters.sql")),
    (16, "ledger cost", On::Sqlite, include_str!("../migrations/0016_ledger_cost.sqlite.sql")),
    (16, "ledger cost", On::Postgres, include_str!("../migrations/0016_ledger_cost.postgres.sql")),
];
const ROW_SECURITY_OF_ACCOUNTS: &str =
    include_str!("../migrations/0006_row_security_accounts.postgres.sql");
const ROW_SECURITY_OF_ALERTS: &str =
    include_str!("../migrations/0008_row_security_alerts.postgres.sql");
const ROW_SECURITY_OF_BILLING: &str =
    include_str!("../migrations/0010_row_security_billing.postgres.sql");
const ROW_SECURITY_OF_LEASES: &str =
    include_str!("../migrations/0012_row_security_leases.postgres.sql");
/// sqlx's own.
const TABLE: &str = "_sqlx_migrations";

/// From which version to which a database was brought; 0 is an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Before.
    pub from: i64,
    /// Now.
    pub to: i64,
}

/// Brings a database up to date; a file is made if there is none.
///
/// # Errors
/// If it cannot be reached or made, is no database of ours, or is of a newer version.
pub async fn migrate(database: &Database) -> Result<Migrated, StoreError> {
    match database {
        Database::File(path) => {
            let (_lock, _) = FileLock::acquire(path).await?;
            create_private(path)?;
            let mut connection = connect_sqlite(path).await?;
            let from = version(&mut connection).await?;
            of_sqlite(None).run(&mut connection).await?;
            let to = version(&mut connection).await?;
            connection.close().await?;
            Ok(Migrated { from, to })
        }
        Database::Postgres(options) => {
            let mut connection = connect_postgres(options).await?;
            let from = version(&mut connection).await?;
            of_postgres().run(&mut connection).await?;
            let to = version(&mut connection).await?;
            connection.close().await?;
            Ok(Migrated { from, to })
        }
    }
}

/// The last migration that a database has.
pub(crate) async fn version(connection: &mut impl Migrate) -> Result<i64, MigrateError> {
    connection.ensure_migrations_table(TABLE).await?;
    let applied = connection.list_applied_migrations(TABLE).await?;
    Ok(applied.into_iter().map(|migration| migration.version).max().unwrap_or(0))
}

/// Those of SQLite, up to a version if one is named.
pub(crate) fn of_sqlite(up_to: Option<i64>) -> Migrator {
    let up_to = up_to.unwrap_or(i64::MAX);
    migrator(|version, on| on != On::Postgres && version <= up_to)
}

/// Those of PostgreSQL.
pub(crate) fn of_postgres() -> Migrator {
    migrator(|_, on| on != On::Sqlite)
}

/// The newest version that this program knows.
pub(crate) fn newest() -> i64 {
    MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or(0)
}

fn migrator(is_wanted: impl Fn(i64, On) -> bool) -> Migrator {
    let wanted = MIGRATIONS.into_iter().filter(|(version, _, on, _)| is_wanted(*version, *on));
    let migration = |(version, name, _, sql): (i64, &'static str, On, &'static str)| {
        let (kind, sql) = (MigrationType::Simple, SqlStr::from_static(sql));
        Migration::new(version, name.into(), kind, sql, false)
    };
    Migrator::with_migrations(wanted.map(migration).collect())
}
