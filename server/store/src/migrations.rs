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

const MIGRATIONS: [(i64, &str, On, &str); 22] = [
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
    (13, "counted hours", On::Sqlite, include_str!("../migrations/0013_counted_hours.sql")),
    (13, "counted hours", On::Postgres, COUNTED_HOURS_IN_ROW_SECURITY),
    (15, "letters", On::Both, include_str!("../migrations/0015_letters.sql")),
    (16, "ledger cost", On::Sqlite, include_str!("../migrations/0016_ledger_cost.sqlite.sql")),
    (16, "ledger cost", On::Postgres, include_str!("../migrations/0016_ledger_cost.postgres.sql")),
    (17, "privacy", On::Both, include_str!("../migrations/0017_privacy.sql")),
    (18, "deleted organizations", On::Sqlite, DELETED_ORGANIZATIONS),
    (18, "deleted organizations", On::Postgres, DELETED_ORGANIZATIONS_IN_ROW_SECURITY),
    (19, "kept by projects", On::Sqlite, KEPT_BY_PROJECTS),
    (19, "kept by projects", On::Postgres, KEPT_BY_PROJECTS_IN_ROW_SECURITY),
];
const ROW_SECURITY_OF_ACCOUNTS: &str =
    include_str!("../migrations/0006_row_security_accounts.postgres.sql");
const ROW_SECURITY_OF_ALERTS: &str =
    include_str!("../migrations/0008_row_security_alerts.postgres.sql");
const ROW_SECURITY_OF_BILLING: &str =
    include_str!("../migrations/0010_row_security_billing.postgres.sql");
const ROW_SECURITY_OF_LEASES: &str =
    include_str!("../migrations/0012_row_security_leases.postgres.sql");
const COUNTED_HOURS_IN_ROW_SECURITY: &str = concat!(
    include_str!("../migrations/0013_counted_hours.sql"),
    include_str!("../migrations/0013_counted_hours.postgres.sql")
);
const DELETED_ORGANIZATIONS: &str = include_str!("../migrations/0018_deleted_organizations.sql");
const DELETED_ORGANIZATIONS_IN_ROW_SECURITY: &str = concat!(
    include_str!("../migrations/0018_deleted_organizations.sql"),
    include_str!("../migrations/0018_deleted_organizations.postgres.sql")
);
const KEPT_BY_PROJECTS: &str = include_str!("../migrations/0019_kept_by_projects.sqlite.sql");
const KEPT_BY_PROJECTS_IN_ROW_SECURITY: &str =
    include_str!("../migrations/0019_kept_by_projects.postgres.sql");
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

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, SqliteConnection};

    use super::*;

    const METERS: &str = "input_tokens, cached_input_tokens, output_tokens, embedding_tokens,
        images, audio_millis, compute_millis, storage_byte_hours, provisioned_hours";

    async fn run(connection: &mut SqliteConnection, sql: String) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
    }

    /// Sums of hours that were there become those of days, and all others stay.
    #[test]
    fn sums_of_hours_become_those_of_days() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("old.db");
            create_private(&path).unwrap();
            let mut connection = connect_sqlite(&path).await.unwrap();
            of_sqlite(Some(15)).run(&mut connection).await.unwrap();
            let max = i64::MAX;
            for (hour, project, output) in
                [(47, "p", 1), (48, "p", 10), (71, "p", 100), (71, "q", max), (50, "q", 5)]
            {
                let sql = format!(
                    "INSERT INTO usage_hours (organization_id, hour, project_id, key_id, model,
                    tier, endpoint, tag, num_requests, {METERS}, cost_micros, cost_picos)
                    VALUES ('a', {hour}, '{project}', 'k', 'm', 't', 'e', '', 1,
                    0, 0, {output}, 0, 0, 0, 0, 0, 0, 2, 3)"
                );
                run(&mut connection, sql).await;
            }
            let sql = format!(
                "INSERT INTO usage_sums (organization_id, project_id, key_id, model, tier, period,
                number, {METERS}, cost_micros, cost_picos)
                VALUES ('a', 'p', '', '', '', 'day', 2, 0, 0, 7, 0, 0, 0, 0, 0, 0, 8, 9)"
            );
            run(&mut connection, sql).await;
            of_sqlite(None).run(&mut connection).await.unwrap();
            let days: Vec<(i64, String, i64, i64, i64, i64)> = sqlx::query_as(
                "SELECT day, project_id, num_requests, output_tokens, cost_micros, cost_picos
                FROM usage_days ORDER BY day, project_id",
            )
            .fetch_all(&mut connection)
            .await
            .unwrap();
            let day = |day, project: &str, num, output| {
                (day, project.to_owned(), num, output, num * 2, num * 3)
            };
            assert_eq!(days, [day(1, "p", 1, 1), day(2, "p", 2, 110), day(2, "q", 2, max)]);
            let hours: (i64, i64) =
                sqlx::query_as("SELECT COUNT(*), SUM(hour) FROM usage_hours WHERE tier = 't'")
                    .fetch_one(&mut connection)
                    .await
                    .unwrap();
            assert_eq!(hours, (5, 47 + 48 + 71 + 71 + 50));
            let sums: (String, i64, i64, i64) = sqlx::query_as(
                "SELECT project_id, number, output_tokens, cost_picos FROM usage_sums",
            )
            .fetch_one(&mut connection)
            .await
            .unwrap();
            assert_eq!(sums, ("p".to_owned(), 2, 7, 9));
        });
    }
}
