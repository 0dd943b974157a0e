//! Moments and hours, as Stripe and the ledger's sums count them.
//!
//! Invariant: no arithmetic on a moment panics; it ends at the first or the last one.

use serde::{Deserialize, Serialize};

const SECS_PER_HOUR: u64 = 3600;
pub(crate) const SECS_PER_DAY: u64 = 24 * SECS_PER_HOUR;

/// Seconds since 1970 in UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// So many seconds later.
    #[must_use]
    pub fn plus(self, secs: u64) -> Self {
        Self(self.0.saturating_add(secs))
    }

    /// So many seconds earlier.
    #[must_use]
    pub fn minus(self, secs: u64) -> Self {
        Self(self.0.saturating_sub(secs))
    }

    /// Seconds since an earlier moment; 0 if it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Hours since 1970 in UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Hour(pub u64);

impl Hour {
    /// The one that a moment is in.
    #[must_use]
    pub fn of(at: UnixSeconds) -> Self {
        Self(at.0 / SECS_PER_HOUR)
    }

    /// Its first second.
    #[must_use]
    pub fn start(self) -> UnixSeconds {
        UnixSeconds(self.0.saturating_mul(SECS_PER_HOUR))
    }

    /// Its last second.
    #[must_use]
    pub fn last_second(self) -> UnixSeconds {
        self.start().plus(SECS_PER_HOUR - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_hold_their_seconds_and_no_moment_panics() {
        let at = UnixSeconds(1_798_761_599);
        let hour = Hour::of(at);
        assert!(hour.start() <= at && at <= hour.last_second());
        assert_eq!(hour.last_second().plus(1), Hour(hour.0 + 1).start());
        let last = Hour::of(UnixSeconds(u64::MAX));
        assert!(last.last_second() >= last.start());
        assert_eq!(Hour(u64::MAX).last_second(), UnixSeconds(u64::MAX));
        assert_eq!(UnixSeconds(5).since(UnixSeconds(9)), 0);
        assert_eq!(UnixSeconds(5).minus(9), UnixSeconds(0));
    }
}
