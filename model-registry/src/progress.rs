//! How a long operation tells its caller how far it is; who draws is not known here.
//!
//! Invariant: one `start` comes before any `advance`, and `start` again begins a new count.

/// Hears of the bytes that an import or a pull has handled.
pub trait Progress: Sync {
    /// Work on `what` begins; `total` bytes are expected where that is known.
    fn start(&self, what: &str, total: Option<u64>);
    /// `bytes` more are done.
    fn advance(&self, bytes: u64);
    /// What was started last is done.
    fn finish(&self);
    /// `what` was stored already: its `bytes` were neither copied nor downloaded.
    fn reused(&self, what: &str, bytes: u64) {
        let _ = (what, bytes);
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn start(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
}
