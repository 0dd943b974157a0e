//! Progress bars on the terminal's error stream; plain silence where there is no terminal.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use indicatif::{ProgressBar, ProgressStyle};
use model_registry::Progress;

use crate::size::ByteSize;

/// One bar at a time, named after the file it counts.
#[derive(Default)]
pub(crate) struct Bars {
    bar: Mutex<Option<ProgressBar>>,
    /// Sizes of the files that were stored already.
    reused: Mutex<BTreeMap<String, u64>>,
}

impl Bars {
    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        // A poisoned bar is still only a bar.
        act(&mut self.bar.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Tells what was stored already, if anything was.
    pub(crate) fn tell_reused(&self) {
        let reused = self.reused.lock().unwrap_or_else(PoisonError::into_inner);
        if !reused.is_empty() {
            let (files, size) = (reused.len(), ByteSize(reused.values().sum()));
            let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
            crate::say(&format!("already stored, not copied again: {files} ({size})"));
        }
    }
}

impl Progress for Bars {
    fn start(&self, what: &str, total: Option<u64>) {
        const BYTES: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        if total.is_some()
            && let Ok(style) = ProgressStyle::with_template(BYTES)
        {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        self.with(|current| *current = Some(bar));
    }

    fn advance(&self, bytes: u64) {
        self.with(|current| {
            if let Some(bar) = current {
                bar.inc(bytes);
            }
        });
    }

    fn finish(&self) {
        self.with(|current| {
            if let Some(bar) = current.take() {
                bar.finish_and_clear();
            }
        });
    }

    fn reused(&self, what: &str, bytes: u64) {
        let mut reused = self.reused.lock().unwrap_or_else(PoisonError::into_inner);
        reused.insert(what.to_owned(), bytes);
    }
}

/// A bar over things that are counted; gone when dropped.
pub(crate) struct Counted(ProgressBar);

impl Counted {
    pub(crate) fn new(what: String, total: usize) -> Self {
        let bar = ProgressBar::new(total as u64).with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// A bar over so many things that their number says nothing: shown as a share.
    pub(crate) fn share(what: String, total: usize) -> Self {
        let bar = ProgressBar::new(total as u64).with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent} % {eta}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// So many are done.
    pub(crate) fn reach(&self, done: usize) {
        self.0.set_position(done as u64);
    }

    /// One more is done; `what` tells how it stands.
    pub(crate) fn advance(&self, what: String) {
        self.0.set_message(what);
        self.0.inc(1);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A spinner for work without a measure; gone when dropped.
pub(crate) struct Spinner(ProgressBar);

impl Spinner {
    pub(crate) fn new(what: String) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        Self(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
