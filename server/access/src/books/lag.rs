//! Looks how far the ledger is behind, and says so where it does not come after.
//!
//! Invariant: nothing waits unsaid for more than a minute while the ledger's thread fails. What a
//! ledger does not take it says itself at first, so only what cannot be read is said here at once.

use std::mem::replace;
use std::sync::Weak;
use std::time::{Duration, Instant};

use server_metering::{Behind, Follower};
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is said again.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What was said last.
#[derive(Debug, Default)]
struct Lag {
    is_unread: bool,
    said_at: Option<Instant>,
}

/// What is to be said.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// The journal cannot be read, since now or still.
    Unread,
    /// The ledger still does not take it.
    NotTaken,
    /// The journal can be read again.
    Read,
}

/// Tells how far the ledger is behind each time that it looks, until nothing feeds it any more.
pub(super) async fn watch(
    follower: Weak<Follower>,
    every: Duration,
    report: impl Fn(&Behind) + Send,
) {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut lag = Lag::default();
    loop {
        tick.tick().await;
        let Some(behind) = follower.upgrade().map(|follower| follower.behind()) else { return };
        if let Some(said) = lag.look(&behind, Instant::now()) {
            say(&said, &behind);
        }
        report(&behind);
    }
}

impl Lag {
    fn look(&mut self, behind: &Behind, now: Instant) -> Option<Said> {
        let was_unread = replace(&mut self.is_unread, behind.is_unread);
        if behind.num_failures == 0 {
            self.said_at = None;
            return was_unread.then_some(Said::Read);
        }
        let begins = behind.is_unread && !was_unread;
        let said_at = *self.said_at.get_or_insert(now);
        if !begins && now.saturating_duration_since(said_at) < SAY_EVERY {
            return None;
        }
        self.said_at = Some(now);
        Some(if behind.is_unread { Said::Unread } else { Said::NotTaken })
    }
}

fn say(said: &Said, behind: &Behind) {
    let Behind { bytes, num_failures, .. } = *behind;
    let error = behind.last_error.as_deref().unwrap_or_default();
    match said {
        Said::Unread => tracing::error!(
            bytes,
            num_failures,
            error,
            "usage is not billed: the journal cannot be read. See to its disk, or put back what \
             was removed; if that is gone, start again: what is used from then on is billed"
        ),
        Said::NotTaken => tracing::error!(
            bytes,
            num_failures,
            error,
            "usage waits in the journal: the ledger does not take it. See that the database works"
        ),
        Said::Read => tracing::info!(bytes, "the journal can be read again, and usage is billed"),
    }
}

#[cfg(test)]
mod tests;
