//! What can be set, and why a submission is refused.
//!
//! Invariant: every queue has a bound, and the bound is here.

use engine_core::InvalidRequest;

/// Settings of one planner.
#[derive(Clone)]
pub struct PlannerConfig {
    /// Requests that may wait for their first step, over all tenants.
    pub max_waiting: usize,
    /// Of those, how many may belong to one tenant.
    pub max_waiting_per_tenant: usize,
    /// Sequences that run at once; lowered to what one step of the engine holds.
    pub max_running_seqs: u32,
    /// Input tokens of one sequence per step, so that a long prompt leaves room for others.
    pub prefill_chunk: u32,
    /// Input tokens of all prompts in a step that others decode in: while it is computed, those
    /// who read along see nothing.
    pub mixed_prefill: u32,
    /// Steps with fewer input tokens than this are filled up to it with drafts (guesses at tokens
    /// to come); 0 guesses nothing. A step this small is bound by reading the weights, so a draft
    /// costs little; beyond, it costs as much as any other token.
    pub draft_fill: u32,
    /// Choices (`n`) of one request.
    pub max_choices: u32,
    /// Whether computed blocks are kept for later requests with the same prefix.
    pub prefix_caching: bool,
    /// Keys the prefix cache's hashes. Random, so that nobody can construct a collision.
    pub cache_key: [u8; 32],
    /// What a refused caller is told to wait, in seconds.
    pub retry_after_s: u32,
}

impl Default for PlannerConfig {
    /// The cache key is drawn afresh by every call.
    fn default() -> Self {
        Self {
            max_waiting: 1024,
            max_waiting_per_tenant: 1024,
            max_running_seqs: 256,
            prefill_chunk: 512,
            mixed_prefill: 128,
            draft_fill: 8,
            max_choices: 128,
            prefix_caching: true,
            cache_key: rand::random(),
            retry_after_s: 1,
        }
    }
}

impl std::fmt::Debug for PlannerConfig {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlannerConfig")
            .field("max_waiting", &self.max_waiting)
            .field("max_waiting_per_tenant", &self.max_waiting_per_tenant)
            .field("max_running_seqs", &self.max_running_seqs)
            .field("prefill_chunk", &self.prefill_chunk)
            .field("mixed_prefill", &self.mixed_prefill)
            .field("draft_fill", &self.draft_fill)
            .field("max_choices", &self.max_choices)
            .field("prefix_caching", &self.prefix_caching)
            .field("retry_after_s", &self.retry_after_s)
            .finish_non_exhaustive()
    }
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too many requests wait already, of everyone or of this tenant.
    #[error("{waiting} requests are waiting already; try again in {retry_after_s} s")]
    QueueFull {
        /// How many wait (of this tenant, if its own share is what is full).
        waiting: usize,
        /// A hint for `Retry-After`.
        retry_after_s: u32,
    },
    /// It can never run on this engine.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// No more requests are taken.
    #[error("the engine is shutting down")]
    ShuttingDown,
}
