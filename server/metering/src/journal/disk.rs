//! The files that segments are written to, so that tests have some that fail.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

/// Where segments are made.
pub(super) trait Disk: Send + Sync {
    /// A new file that so many bytes are to fit in.
    fn create(&self, path: &Path, capacity: u64) -> io::Result<Arc<dyn SegmentFile>>;
}

/// A file that is written at the end of what was written, into room that was set aside.
pub(super) trait SegmentFile: Send + Sync {
    /// Writes all of it there, or some and fails.
    fn append(&self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Takes back what is beyond a length.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Returns when the disk has all.
    fn sync(&self) -> io::Result<()>;
}

/// The system's files, by its calls.
pub(super) struct Files;

impl Disk for Files {
    fn create(&self, path: &Path, capacity: u64) -> io::Result<Arc<dyn SegmentFile>> {
        let file = options().write(true).open(path)?;
        match set_aside(&file, capacity) {
            Ok(()) => Ok(Arc::new(file)),
            Err(error) => {
                let _ = std::fs::remove_file(path);
                Err(error)
            }
        }
    }
}

/// Has a new file be so many zeros, so that its disk has room for what is written over them.
pub(super) fn set_aside(mut file: &File, capacity: u64) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(capacity), &mut file)?;
    Ok(())
}

/// Of a new file.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create_new(true);
    // Who used what is the operator's business alone.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl SegmentFile for File {
    fn append(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl fmt::Debug for dyn Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl fmt::Debug for dyn SegmentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SegmentFile")
    }
}
