//! Backups: what a database holds, in one file that either database can be restored from.
//!
//! The file is an SQLite database with our tables and a seal at its end. From SQLite it is a copy
//! that the database makes of itself, from PostgreSQL a copy of the rows; both are of one moment,
//! and writers go on meanwhile.
//!
//! Invariant: a file under its final name is whole and on disk. A database is replaced whole or
//! not at all, and only by what was checked before.

mod error;
mod image;
mod restore;
mod rows;
mod seal;

use std::path::Path;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Postgres, Sqlite, SqliteConnection};

pub use self::error::BackupError;
use self::image::Image;
pub use self::restore::{Restored, restore};
use crate::database::{Database, FileLock, connect_postgres, connect_sqlite};
use crate::{migrations, sql};

/// A backup that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The version of what it holds.
    pub version: i64,
    /// Its size.
    pub num_bytes: u64,
}

/// Writes what a database holds into a new file, which only its owner can read.
///
/// # Errors
/// If the file is there already or cannot be written, or the database cannot be read.
pub async fn backup(database: &Database, file: &Path) -> Result<Backup, BackupError> {
    if file.exists() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let image = Image::create(&image::beside(file, "partial"))?;
    let version = match database {
        Database::File(path) => copy_of_file(path, image.path()).await?,
        Database::Postgres(options) => copy_of_rows(options, image.path()).await?,
    };
    let mut connection = image.connect().await?;
    image::mark(&mut connection, image::OURS).await?;
    connection.close().await?;
    let num_bytes = image.seal().await?;
    image.become_file(file).await?;
    Ok(Backup { version, num_bytes })
}

async fn copy_of_file(database: &Path, image: &Path) -> Result<i64, BackupError> {
    if !database.exists() {
        return Err(BackupError::Missing(database.to_owned()));
    }
    // It is not replaced meanwhile.
    let mut lock = FileLock::open(database)?;
    lock.share().await?;
    let mut connection = connect_sqlite(database).await?;
    let version = migrations::version(&mut connection).await?;
    let into = sqlx::query("VACUUM INTO $1").bind(image::text_of(image)?);
    into.execute(&mut connection).await?;
    connection.close().await?;
    Ok(version)
}

async fn copy_of_rows(options: &PgConnectOptions, image: &Path) -> Result<i64, BackupError> {
    let mut connection = connect_postgres(options).await?;
    let version = migrations::version(&mut connection).await?;
    if version > migrations::newest() {
        return Err(BackupError::NewerDatabase { theirs: version, ours: migrations::newest() });
    }
    let mut image: SqliteConnection = image::connect(image).await?;
    migrations::of_sqlite(Some(version)).run(&mut image).await?;
    let mut moment = connection.begin_with(sql::ONE_MOMENT).await?;
    sqlx::query(sql::SEE_EVERY_TENANT).execute(&mut *moment).await?;
    let mut into = image.begin().await?;
    for table in rows::tables(&mut into).await? {
        rows::copy::<Postgres, Sqlite>(&table, &mut moment, &mut into).await?;
    }
    into.commit().await?;
    image.close().await?;
    Ok(version)
}
