//! `agentbase migrate`.

use std::path::Path;

use anyhow::{Context, Result};
use server_store::migrate;

use crate::cli::DatabaseArgs;

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
