//! A folder on the registry's own disk, where a model is made before it is imported.
//!
//! Invariant: it goes with whoever made it: closed, or, where its process ended before that,
//! deleted by whoever opens the registry next.

use std::fs;
use std::path::PathBuf;

use crate::error::RegistryError;
use crate::registry::Registry;
use crate::stage::Stage;

/// Within the staging folder, apart from its lock.
const MODEL: &str = "model";

/// An empty folder for the files of one model.
#[derive(Debug)]
pub struct Workspace {
    stage: Stage,
}

impl Registry {
    /// A folder to make a model in, for [`Registry::import_made`].
    ///
    /// # Errors
    /// When it cannot be created.
    pub async fn workspace(&self) -> Result<Workspace, RegistryError> {
        let stage = Stage::for_import(&self.root).await?;
        let dir = stage.path(MODEL);
        fs::create_dir(&dir).map_err(RegistryError::io("cannot create", &dir))?;
        Ok(Workspace { stage })
    }
}

impl Workspace {
    /// Where it is.
    pub fn dir(&self) -> PathBuf {
        self.stage.path(MODEL)
    }

    /// Deletes it with all that is left in it.
    ///
    /// # Errors
    /// When it cannot be deleted; whoever opens the registry next tries again.
    pub async fn close(self) -> Result<(), RegistryError> {
        self.stage.close().await
    }
}
