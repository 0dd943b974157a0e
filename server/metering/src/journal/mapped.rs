//! Files that are written through memory: a record costs the copying of its bytes, and no call of
//! the system.
//!
//! Invariant: the whole of a mapped file has its room on the disk before anything is written, so no
//! write fails, and nobody makes it shorter while it is written to.
//!
//! What is in a shared mapping is the system's, as what `write` hands over is: a kill of the
//! process takes none of it back, and `fdatasync` has the disk keep it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapRaw;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::disk::{Disk, Files, SegmentFile, options, set_aside};

/// Maps files where the system can, and writes others as [`Files`].
pub(super) struct MappedFiles;

#[derive(Debug)]
struct Mapped {
    file: File,
    map: MmapRaw,
    /// What may be written to.
    len: AtomicU64,
}

impl Disk for MappedFiles {
    fn create(&self, path: &Path, capacity: u64) -> io::Result<Arc<dyn SegmentFile>> {
        let file = options().read(true).write(true).open(path)?;
        match map(file, capacity) {
            Ok(mapped) => Ok(Arc::new(mapped)),
            Err(error) => {
                std::fs::remove_file(path)?;
                match error.kind() {
                    // Another way would find no more room.
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Err(error),
                    // Not all file systems map for writing.
                    _ => Files.create(path, capacity),
                }
            }
        }
    }
}

fn map(file: File, capacity: u64) -> io::Result<Mapped> {
    match fallocate(&file, FallocateFlags::empty(), 0, capacity) {
        // Not all file systems set room aside that nothing is written to.
        Err(Errno::OPNOTSUPP) => set_aside(&file, capacity)?,
        done => done?,
    }
    let map = MmapRaw::map_raw(&file)?;
    Ok(Mapped { file, len: AtomicU64::new(map.len() as u64), map })
}

impl SegmentFile for Mapped {
    fn append(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let end = at.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.len.load(Ordering::Relaxed)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // SAFETY: the range lies in the mapping, as was just seen, and so in `usize`. The file has
        // room for all of it, and only `truncate` makes it shorter, which lowers `len` before. This
        // process makes no references to these bytes, and one thread writes at a time: the writer
        // of the journal is behind a lock. Whoever reads does so out of the file.
        #[allow(unsafe_code)] // what is written is shared with the system: there is no safe way
        unsafe {
            let to = self.map.as_mut_ptr().add(at as usize);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.len.fetch_min(len, Ordering::Relaxed);
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_in_the_file_at_once_and_nothing_beyond_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one");
        let file = MappedFiles.create(&path, 10).unwrap();
        file.append(0, b"abc").unwrap();
        file.append(3, b"defg").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abcdefg\0\0\0");
        for at in [7, 10, u64::MAX] {
            let full = file.append(at, b"hijk").unwrap_err();
            assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{at}");
        }
        file.sync().unwrap();
        file.truncate(7).unwrap();
        assert!(file.append(7, b"h").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"abcdefg");
        assert!(MappedFiles.create(&path, 10).is_err(), "it is there");
    }

    #[test]
    fn where_files_cannot_be_mapped_they_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none");
        // A mapping of no bytes is none.
        let file = MappedFiles.create(&path, 0).unwrap();
        file.append(0, b"abc").unwrap();
        file.append(3, b"d").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abcd");
    }
}
