//! `agentbase migrate`, `backup` and `restore`.

use std::path::Path;

use anyhow::{Context, Result};
use server_store::{backup, migrate, restore};

use crate::{
    cli::{BackupArgs, DatabaseArgs, RestoreArgs},
    size::ByteSize,
};

/// Brings the database up to date.
pub(super) async fn migrated(args: &DatabaseArgs, data_dir: &Path) -> Result<()> {
    let database = args.database(data_dir)?;
    let migrated = migrate(&database).await.with_context(|| database.to_string())?;
    let (from, to) = (migrated.from, migrated.to);
    if from == to {
        outln!("{database} is up to date: version {to}")
    } else {
        outln!("{database}: from version {from} to {to}")
    }
}

/// Writes what it holds into a file.
pub(super) async fn backed_up(args: &BackupArgs, data_dir: &Path) -> Result<()> {
    let database = args.database.database(data_dir)?;
    let written = backup(&database, &args.file).await.context("nothing was written")?;
    let (file, size) = (args.file.display(), ByteSize(written.num_bytes));
    outln!("{file}: {size}, {database} at version {}", written.version)
}

/// Puts back what a file holds.
pub(super) async fn restored(args: &RestoreArgs, data_dir: &Path) -> Result<()> {
    let database = args.database.database(data_dir)?;
    let restored = restore(&args.file, &database, data_dir, args.force);
    let restored = restored.await.with_context(|| format!("{database} was not changed"))?;
    let file = args.file.display();
    outln!("{database} is as {file} has it, at version {}", restored.version)
}
