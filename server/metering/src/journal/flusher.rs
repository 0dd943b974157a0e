//! The thread that tells the disk to keep what was written.
//!
//! Invariant: one sync is for all that was written before it began, however many wait.

use std::io;
use std::sync::{Arc, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::{Durability, Shared};

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
            return;
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
