//! When an engine began with a request, as its caller reads it.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Set once, by the driver. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct Began(Arc<OnceLock<Instant>>);

impl Began {
    /// The first of it is computed now.
    pub(crate) fn set(&self) {
        self.0.get_or_init(Instant::now);
    }

    /// When that was; `None` while it waits.
    pub(crate) fn get(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}
