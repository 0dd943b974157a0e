//! The SQLite file that becomes a backup, or a database that is restored.
//!
//! Invariant: until it is renamed it is gone when the value is.

use std::fs::File;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};

use super::{BackupError, seal};
use crate::database::create_private;

/// SQLite's mark of whose file it is, in a backup: `AGBK`.
pub(super) const OURS: u32 = u32::from_be_bytes(*b"AGBK");
/// What SQLite keeps beside a file.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

#[derive(Debug)]
pub(super) struct Image {
    path: PathBuf,
    is_unfinished: bool,
}

impl Image {
    /// An empty one; what a process that was killed has left in its place goes.
    pub(super) fn create(path: &Path) -> Result<Self, BackupError> {
        remove_all(path);
        create_private(path).map_err(BackupError::of(path))?;
        Ok(Self { path: path.to_owned(), is_unfinished: true })
    }

    /// The image that a backup holds, once its seal holds.
    pub(super) async fn unsealed(backup: &Path, path: &Path) -> Result<Self, BackupError> {
        let image = Self::create(path)?;
        let (from, to) = (backup.to_owned(), path.to_owned());
        in_background(move || seal::open(&from, &to)).await?;
        Ok(image)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn connect(&self) -> Result<SqliteConnection, BackupError> {
        connect(&self.path).await
    }

    /// Puts the seal at its end; its size then.
    pub(super) async fn seal(&self) -> Result<u64, BackupError> {
        let path = self.path.clone();
        in_background(move || seal::close(&path)).await
    }

    /// Renames it, once it is on disk.
    pub(super) async fn become_file(mut self, file: &Path) -> Result<(), BackupError> {
        let (from, to) = (self.path.clone(), file.to_owned());
        in_background(move || {
            let sync = |path: &Path| File::open(path)?.sync_all();
            sync(&from).map_err(BackupError::of(&from))?;
            std::fs::rename(&from, &to).map_err(BackupError::of(&to))?;
            // Folders can be synced on Unix only.
            let folder = to.parent().filter(|_| cfg!(unix));
            let folder = folder.map(|path| if path == "" { Path::new(".") } else { path });
            folder.map_or(Ok(()), sync).map_err(BackupError::of(&to))
        })
        .await?;
        self.is_unfinished = false;
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.is_unfinished {
            remove_all(&self.path);
        }
    }
}

/// A file's name with more after it.
pub(super) fn beside(file: &Path, more: &str) -> PathBuf {
    let mut name = file.to_owned().into_os_string();
    name.push(format!(".{more}"));
    name.into()
}

/// Removes what SQLite keeps beside a file that is closed. What cannot be removed is found later.
pub(super) fn remove_companions(path: &Path) {
    for companion in COMPANIONS {
        let mut name = path.to_owned().into_os_string();
        name.push(companion);
        std::fs::remove_file(name).ok();
    }
}

fn remove_all(path: &Path) {
    std::fs::remove_file(path).ok();
    remove_companions(path);
}

/// A connection to a file that nobody else knows: without a journal, and synced at its end only.
pub(super) async fn connect(path: &Path) -> Result<SqliteConnection, BackupError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .foreign_keys(false)
        .optimize_on_close(false, None);
    Ok(options.connect().await?)
}

/// Writes down whose file it is.
pub(super) async fn mark(image: &mut SqliteConnection, whose: u32) -> Result<(), BackupError> {
    let mark = AssertSqlSafe(format!("PRAGMA application_id = {whose}"));
    sqlx::query(mark).execute(image).await?;
    Ok(())
}

/// A path as SQL takes it.
pub(super) fn text_of(path: &Path) -> Result<&str, BackupError> {
    let not_text = || std::io::Error::other("its name is not UTF-8");
    path.to_str().ok_or_else(|| BackupError::of(path)(not_text()))
}

/// Files are read and written on a thread of their own.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
