//! Virtual time, which only computing moves.
//!
//! Invariant: never goes back, and has nothing to do with real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Reads the virtual time of one engine; clones read the same clock.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// Virtual time since the engine was made.
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Acquire))
    }

    pub(crate) fn advance(&self, by_us: u64) {
        self.0.fetch_add(by_us, Ordering::AcqRel);
    }
}

/// What a step costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepCost {
    /// Virtual microseconds per step.
    pub step_us: u64,
    /// Virtual microseconds per input token.
    pub token_us: u64,
    /// Real time that every step sleeps, for tests with real clients.
    pub delay: Duration,
}

impl Default for StepCost {
    /// A millisecond per step, ten microseconds per token, no real delay.
    fn default() -> Self {
        Self { step_us: 1000, token_us: 10, delay: Duration::ZERO }
    }
}
