//! A database as a backup has it.
//!
//! Invariant: whatever is refused is refused before anything of the database is touched.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, Sqlite, SqliteConnection};

use tokio::time::{Instant, sleep};

use super::BackupError;
use super::image::{self, Image};
use super::rows::{self, Table};
use crate::database::{Database, FileLock, RESTORE_OR_SERVE, connect_postgres, connect_sqlite};
use crate::{migrations, sql};

/// For a server that was just stopped.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// A backup that was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The version that the database is of now.
    pub version: i64,
}

/// Replaces what a database holds by what a backup does, which is brought up to date. It takes the
/// backup's space once more in `scratch`, or beside SQLite's file.
///
/// # Errors
/// If the file is no backup, damaged or of a newer version; if a server uses the database; if that
/// holds something, unless `force`.
pub async fn restore(
    file: &Path,
    database: &Database,
    scratch: &Path,
    force: bool,
) -> Result<Restored, BackupError> {
    match database {
        Database::File(path) => {
            let mut lock = FileLock::open(path)?;
            if !lock.try_alone()? {
                return Err(BackupError::InUse);
            }
            if !force && !is_empty_file(path).await {
                return Err(BackupError::NotEmpty);
            }
            let image = checked(file, &image::beside(path, "restoring")).await?;
            replace_file(path, image).await?;
        }
        Database::Postgres(options) => {
            let path = scratch.join(format!("restoring-{}.db", std::process::id()));
            replace_rows(options, file, &path, force).await?;
        }
    }
    Ok(Restored { version: migrations::newest() })
}

/// What a backup holds, checked and brought up to date.
async fn checked(file: &Path, path: &Path) -> Result<Image, BackupError> {
    let image = Image::unsealed(file, path).await?;
    let mut connection = image.connect().await?;
    let damaged = |why: String| BackupError::Damaged { file: file.to_owned(), why };
    let check = sqlx::query_as("PRAGMA integrity_check(1)").fetch_one(&mut connection).await;
    let (found,): (String,) = check.map_err(|error| damaged(error.to_string()))?;
    if found != "ok" {
        return Err(damaged(found));
    }
    let (theirs, ours) = (migrations::version(&mut connection).await?, migrations::newest());
    if theirs > ours {
        return Err(BackupError::Newer { file: file.to_owned(), theirs, ours });
    }
    migrations::of_sqlite(None).run(&mut connection).await?;
    // A database that is used is no backup.
    image::mark(&mut connection, 0).await?;
    connection.close().await?;
    Ok(image)
}

/// What cannot be read is not empty.
async fn is_empty_file(path: &Path) -> bool {
    match std::fs::metadata(path) {
        Ok(file) if file.len() == 0 => return true,
        Err(error) if error.kind() == ErrorKind::NotFound => return true,
        _ => {}
    }
    let look = async {
        let mut connection = connect_sqlite(path).await?;
        let mut is_empty = true;
        for table in rows::tables(&mut connection).await? {
            is_empty &=
                sqlx::query(any_of(&table)).fetch_optional(&mut connection).await?.is_none();
        }
        connection.close().await?;
        Ok::<_, BackupError>(is_empty)
    };
    look.await.unwrap_or(false)
}

fn any_of(table: &Table) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("SELECT 1 FROM \"{}\" LIMIT 1", table.name))
}

async fn replace_file(path: &Path, image: Image) -> Result<(), BackupError> {
    // What is beside the old file goes into it, so that it is whole until it is replaced, and
    // nothing beside it is taken for the new one's. A file that is damaged needs neither.
    if path.exists()
        && let Ok(mut old) = connect_sqlite(path).await
    {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut old).await.ok();
        old.close().await.ok();
    }
    image::remove_companions(path);
    image.become_file(path).await
}

/// Takes the lock of who restores. Of a process that was just killed the server may not know yet.
async fn is_alone(connection: &mut PgConnection) -> Result<bool, BackupError> {
    let end = Instant::now() + PATIENCE;
    loop {
        let lock = AssertSqlSafe(format!("SELECT pg_try_advisory_lock({RESTORE_OR_SERVE})"));
        let (is_alone,): (bool,) = sqlx::query_as(lock).fetch_one(&mut *connection).await?;
        if is_alone || Instant::now() >= end {
            return Ok(is_alone);
        }
        sleep(PAUSE).await;
    }
}

async fn replace_rows(
    options: &PgConnectOptions,
    file: &Path,
    path: &Path,
    force: bool,
) -> Result<(), BackupError> {
    let mut connection = connect_postgres(options).await?;
    if !is_alone(&mut connection).await? {
        return Err(BackupError::InUse);
    }
    let image = checked(file, path).await?;
    let mut from: SqliteConnection = image.connect().await?;
    let tables = rows::tables(&mut from).await?;
    if !force && !is_empty(&mut connection, &tables).await? {
        return Err(BackupError::NotEmpty);
    }
    migrations::of_postgres().run(&mut connection).await?;
    let mut into = connection.begin().await?;
    sqlx::query(sql::SEE_EVERY_TENANT).execute(&mut *into).await?;
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let clear = AssertSqlSafe(format!("TRUNCATE {}", names.join(", ")));
    sqlx::query(clear).execute(&mut *into).await?;
    for table in &tables {
        rows::copy::<Sqlite, Postgres>(table, &mut from, &mut into).await?;
    }
    into.commit().await?;
    from.close().await?;
    connection.close().await?;
    Ok(())
}

/// Tables that are not there yet are empty.
async fn is_empty(connection: &mut PgConnection, tables: &[Table]) -> Result<bool, BackupError> {
    let mut look = connection.begin().await?;
    sqlx::query(sql::SEE_EVERY_TENANT).execute(&mut *look).await?;
    for table in tables {
        let is_there = sqlx::query_as("SELECT to_regclass($1) IS NOT NULL").bind(&table.name);
        let (is_there,): (bool,) = is_there.fetch_one(&mut *look).await?;
        if is_there && sqlx::query(any_of(table)).fetch_optional(&mut *look).await?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}
