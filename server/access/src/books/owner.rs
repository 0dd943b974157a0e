//! Which process had a journal: what that one reserved of limits is free when the ledger has all of
//! its journal.
//!
//! Invariant: the file is on the disk before anything is reserved, and it goes after that is free.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use server_store::Store;

use crate::AccessError;

/// A file beside a journal, with the number of the process that has it.
#[derive(Debug)]
pub(super) struct Owner {
    folder: PathBuf,
    number: usize,
}

impl Owner {
    pub(super) fn new(folder: &Path, number: usize) -> Self {
        Self { folder: folder.to_owned(), number }
    }

    fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.process", self.number))
    }

    /// This process has it from now on.
    pub(super) fn take(&self, store: &Store) -> Result<(), AccessError> {
        self.write(store.process()).map_err(|source| self.failed(source))
    }

    /// Frees what the process had reserved that had it, all of whose usage is in the ledger.
    pub(super) async fn release(&self, store: &Store) -> Result<(), AccessError> {
        let text = match fs::read_to_string(self.file()) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(self.failed(source)),
        };
        match text.trim().parse() {
            Ok(process) => {
                store.forget_leases(process).await?;
            }
            // What was reserved then is free after a week.
            Err(_) => tracing::warn!(file = %self.file().display(), "it has no process's number"),
        }
        fs::remove_file(self.file()).map_err(|source| self.failed(source))
    }

    fn write(&self, process: i64) -> io::Result<()> {
        let written = self.file().with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&written)?;
        file.write_all(process.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&written, self.file())?;
        File::open(&self.folder)?.sync_all()
    }

    fn failed(&self, source: io::Error) -> AccessError {
        AccessError::Folder { folder: self.folder.clone(), source }
    }
}
