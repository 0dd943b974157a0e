//! Waits for what another process does.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than anything takes that is waited for, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);

/// What `look` finds, once it finds something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain until {what}");
        sleep(PAUSE);
    }
}
