//! What can be set, and why recordings are refused.
//!
//! Invariant: what waits is bounded in requests and in samples, and the bounds are here.

/// Settings of the queue of one model of speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeechConfig {
    /// Requests that may be there at once, over all tenants.
    pub max_requests: usize,
    /// Of them, how many may be of one tenant.
    pub max_requests_per_tenant: usize,
    /// Samples of all their recordings. A request that finds none is taken whatever its size.
    pub max_samples: usize,
    /// What a refused caller is told to wait, in seconds.
    pub retry_after_s: u32,
}

impl Default for SpeechConfig {
    /// Recordings of four hours together at 16 kHz: about a gigabyte, with their features.
    fn default() -> Self {
        Self {
            max_requests: 256,
            max_requests_per_tenant: 256,
            max_samples: 4 * 3600 * 16_000,
            retry_after_s: 5,
        }
    }
}

/// Why a recording was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpeechRefusal {
    /// Too much waits already, of everyone or of this tenant.
    #[error("{waiting} recordings are waiting already; try again in {retry_after_s} s")]
    QueueFull {
        /// How many wait (of this tenant, if its own share is what is full).
        waiting: usize,
        /// A hint for `Retry-After`.
        retry_after_s: u32,
    },
    /// No more requests are taken.
    #[error("the model is shutting down")]
    ShuttingDown,
}
