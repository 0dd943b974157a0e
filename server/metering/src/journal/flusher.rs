//! The thread that tells the disk to keep what was written.
//!
//! Invariant: one sync is for all that was written before it began, however many wait.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::disk::SegmentFile;
use super::{Durability, Shared};

/// What the disk is to be told to keep.
pub(super) struct Due {
    /// Of the journal: what comes before it is in these files.
    pub(super) position: u64,
    pub(super) files: Vec<Arc<dyn SegmentFile>>,
    /// Where a file is new.
    pub(super) dir: Option<PathBuf>,
}

impl Due {
    /// Returns when the disk has it.
    fn sync(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| file.sync())?;
        match &self.dir {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    }
}

pub(super) fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    Builder::new().name("journal".to_owned()).spawn(move || run(&shared))
}

fn run(shared: &Shared) {
    let mut writer = shared.writer();
    loop {
        // Looked at before what is done for the last time.
        let is_stopping = writer.is_stopping();
        // Who waits is tried again in any case, and admissions say what is wrong.
        let _ = writer.retry();
        if let Some(due) = writer.due() {
            drop(writer);
            let kept = due.sync();
            writer = shared.writer();
            writer.done(&due, kept);
            shared.synced.notify_all();
        }
        if is_stopping {
            writer.end();
            return;
        }
        if let Some((number, make)) = writer.wants_spare() {
            drop(writer);
            let made = make(number);
            writer = shared.writer();
            if let Ok(file) = made {
                writer.take_spare(number, file);
            }
        }
        let is_awaited = shared.options.durability == Durability::BeforeAck;
        if writer.is_stopping() || (is_awaited && writer.has_unsynced()) {
            continue;
        }
        let pause = shared.options.sync_every;
        let waited = shared.work.wait_timeout(writer, pause);
        writer = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}
