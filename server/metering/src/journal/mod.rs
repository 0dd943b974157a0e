//! The journal: what was delivered and settled, in files of this process, before anybody is told
//! that it is.
//!
//! Invariant: a record that was acknowledged is in a file, whole, whatever kills the process. A
//! segment goes only when the ledger has all that was settled in it and before it, and the disk has
//! how each request ended that was begun there. Who is let in has room for the record of its end.
//!
//! A folder holds segments, each named by its number: a header, and frames of a record each. A kill
//! in the middle of a write leaves a torn frame at the end, which is cut off by whoever reads, as
//! are the zeros of room that was set aside. A failed write is taken back, or its segment left as
//! it is for a new one.

mod decode;
mod disk;
mod entry;
mod error;
mod flusher;
mod frame;
#[cfg(target_os = "linux")]
mod mapped;
mod names;
mod read;
mod record;
mod scan;
mod segment;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use entry::{Ending, Entry, Opened};
pub use error::JournalError;
pub use scan::{Replay, replay};

pub(crate) use entry::{Claim, Ended, Mark};
pub(crate) use read::Cursor;

use disk::Disk;
#[cfg(not(target_os = "linux"))]
use disk::Files as SystemDisk;
#[cfg(target_os = "linux")]
use mapped::MappedFiles as SystemDisk;
use read::Reading;
use writer::Writer;

/// When the disk has what was acknowledged; the system has it before, in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Soon: a loss of power loses what came within [`JournalOptions::sync_every`], a kill nothing.
    #[default]
    Soon,
    /// Before the acknowledgement, for all that wait at once: a loss of power loses nothing.
    BeforeAck,
}

/// How a journal is kept.
#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    /// When the disk has it.
    pub durability: Durability,
    /// How far apart the disk is told to keep what it was given.
    pub sync_every: Duration,
    /// How large a segment gets before the next one begins.
    pub segment_bytes: u64,
    /// How large all segments get before nobody is let in: the ledger is far behind then.
    pub max_bytes: u64,
}

/// What a journal found of earlier processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Requests that were begun and never settled.
    pub num_lost: usize,
    /// Bytes that are no whole record: what a kill tore, or what a disk lost.
    pub cut_bytes: u64,
}

/// The journal of one process.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    flusher: Option<JoinHandle<()>>,
    recovered: Recovered,
    /// Locked while this is: no other process writes or reads here.
    _lock: File,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    options: JournalOptions,
    writer: Mutex<Writer>,
    reading: Mutex<Reading>,
    /// There is something for the flusher to do at once.
    work: Condvar,
    /// The disk has more than before, or failed.
    synced: Condvar,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Soon,
            sync_every: Duration::from_millis(100),
            segment_bytes: 16 << 20,
            max_bytes: 1 << 30,
        }
    }
}

impl Shared {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Opens the journal of a folder, which is made if there is none. What an earlier process
    /// begun there and never settled is settled by its last mark, as [`Ending::Lost`]; a
    /// [`Follower`](crate::Follower) gives that to the ledger like all else.
    ///
    /// # Errors
    /// If another process has it, a file of it is none of this version's, or the disk fails.
    pub fn open(dir: &Path, options: JournalOptions) -> Result<Self, JournalError> {
        Self::open_on(Arc::new(SystemDisk), dir, options)
    }

    fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: JournalOptions,
    ) -> Result<Self, JournalError> {
        let lock = segment::lock(dir)?;
        let found = scan::scan(dir)?;
        let mut writer = Writer::start(disk, dir, options, &found)?;
        let recovered = Recovered { num_lost: found.lost.len(), cut_bytes: found.cut_bytes };
        for entry in &found.lost {
            writer.append(|out| record::put_settled(out, &entry.ended()))?;
        }
        writer.close_found();
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            options,
            writer: Mutex::new(writer),
            reading: Mutex::default(),
            work: Condvar::new(),
            synced: Condvar::new(),
        });
        let flusher = flusher::start(Arc::clone(&shared)).map_err(|source| JournalError::Io {
            what: "start a thread for",
            path: dir.to_owned(),
            source,
        })?;
        Ok(Self { shared, flusher: Some(flusher), recovered, _lock: lock })
    }

    /// What it found when it was opened.
    #[must_use]
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// When the disk has what is acknowledged.
    pub(crate) fn durability(&self) -> Durability {
        self.shared.options.durability
    }

    /// Keeps room for how a request ends that is let in.
    pub(crate) fn claim(&self, opened: &Opened) -> Result<Claim, JournalError> {
        self.shared.writer().claim(opened.max_end_bytes())
    }

    /// Whether it takes how one more request ends.
    pub(crate) fn check(&self) -> Result<(), JournalError> {
        self.shared.writer().check(frame::MAX_FRAME as u64)
    }

    /// Writes what a request has delivered so far. Not being written is made up for by what comes
    /// after.
    pub(crate) fn mark(&self, so_far: &Ended<'_>, claim: &mut Claim) {
        let _ = self.shared.writer().mark(so_far, claim);
    }

    /// Writes how a request ended, and says whether that is written and, if it `waits`, as durable
    /// as the options say. What is not written is kept until the disk takes it.
    pub(crate) fn settle(&self, ended: &Ended<'_>, claim: Claim, waits: bool) -> bool {
        let mut writer = self.shared.writer();
        let appended = writer.settle(ended, claim);
        match appended {
            Ok(position) if waits => self.wait(writer, position).is_ok(),
            appended => appended.is_ok(),
        }
    }

    /// Waits until the disk has all up to a position, where that is asked for.
    fn wait(&self, mut writer: MutexGuard<'_, Writer>, position: u64) -> Result<(), JournalError> {
        if self.shared.options.durability == Durability::Soon {
            return Ok(());
        }
        self.shared.work.notify_one();
        while !writer.is_synced(position)? {
            writer = self.shared.synced.wait(writer).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// The ledger has all before a place: removes what nobody needs any more.
    pub(crate) fn acknowledge(&self, upto: Cursor) {
        self.shared.writer().acknowledge(upto);
    }

    /// How many bytes the ledger does not have yet, and whether anything waits for the disk.
    pub(crate) fn behind(&self) -> (u64, bool) {
        self.shared.writer().behind()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.writer().stop();
        self.shared.work.notify_one();
        if let Some(flusher) = self.flusher.take() {
            // One that panicked has said so; there is nothing left to do for it.
            let _ = flusher.join();
        }
    }
}

#[cfg(test)]
mod tests;
