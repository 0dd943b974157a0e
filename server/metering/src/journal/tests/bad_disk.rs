//! A disk that is full, slow or broken, as long as it is told to be.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::journal::disk::{Disk, Files, SegmentFile};

/// What a disk does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Faults {
    /// Writes put half of it there, and fail.
    pub(super) writes: bool,
    /// And that half stays.
    pub(super) truncates: bool,
    /// Nothing is kept, and that is said.
    pub(super) syncs: bool,
    /// Nothing is kept yet.
    pub(super) holds: bool,
    pub(super) creates: bool,
}

#[derive(Default)]
pub(super) struct BadDisk {
    faults: Mutex<Faults>,
    pub(super) num_syncs: AtomicU64,
    /// How much of each file was written when it was last synced.
    pub(super) synced: Mutex<HashMap<PathBuf, u64>>,
}

struct BadFile {
    disk: Arc<BadDisk>,
    path: PathBuf,
    file: Arc<dyn SegmentFile>,
    /// How much of it was ever written.
    written: AtomicU64,
}

/// The same disk as a disk, since files refer to it.
pub(super) struct Shelf(pub(super) Arc<BadDisk>);

fn no_space() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl BadDisk {
    fn faults(&self) -> Faults {
        *self.faults.lock().unwrap()
    }

    pub(super) fn set(&self, faults: Faults) {
        *self.faults.lock().unwrap() = faults;
    }
}

impl Disk for Shelf {
    fn create(&self, path: &Path, capacity: u64) -> io::Result<Arc<dyn SegmentFile>> {
        if self.0.faults().creates {
            return Err(no_space());
        }
        let file = Files.create(path, capacity)?;
        let (disk, path, written) = (Arc::clone(&self.0), path.to_owned(), AtomicU64::new(0));
        Ok(Arc::new(BadFile { disk, path, file, written }))
    }
}

impl SegmentFile for BadFile {
    fn append(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if self.disk.faults().writes {
            self.file.append(at, &bytes[..bytes.len() / 2])?;
            return Err(no_space());
        }
        self.file.append(at, bytes)?;
        self.written.fetch_max(at + bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        if self.disk.faults().truncates { Err(no_space()) } else { self.file.truncate(len) }
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.faults().syncs {
            return Err(io::Error::other("a sector is bad"));
        }
        let len = self.written.load(Ordering::Relaxed);
        while self.disk.faults().holds {
            thread::sleep(Duration::from_millis(1));
        }
        self.file.sync()?;
        self.disk.num_syncs.fetch_add(1, Ordering::Relaxed);
        self.disk.synced.lock().unwrap().insert(self.path.clone(), len);
        Ok(())
    }
}
