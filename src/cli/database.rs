//! The arguments of what works on the database.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use server_store::Database;

use crate::{config, data_dir};

/// Which database.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct DatabaseArgs {
    /// postgres://USER:PASSWORD@HOST/DATABASE [default: SQLite, in store.db in the data directory]
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
}

impl DatabaseArgs {
    /// The database of the URL, that of the settings file, or the file in the data directory.
    pub(crate) fn database(&self, data_dir: &Path) -> Result<Database> {
        let url = match &self.database_url {
            Some(url) => Some(url.clone()),
            None => config::database_url(data_dir)?,
        };
        match url {
            Some(url) => Ok(Database::from_url(&url)?),
            None => Ok(Database::File(data_dir::store(data_dir))),
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// The file, which must not be there yet
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// What `agentbase backup` wrote, from SQLite or from PostgreSQL
    pub(crate) file: PathBuf,

    /// Replace what the database holds
    #[arg(long)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}
