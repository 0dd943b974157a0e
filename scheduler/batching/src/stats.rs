//! What can be counted from outside.

/// Counts of one planner. Gauges first; the others only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that ran and have not ended (preempted ones too).
    pub running: usize,
    /// Requests that wait for their first step.
    pub waiting: usize,
    /// Sequences that hold blocks.
    pub running_seqs: usize,
    /// Blocks in the KV cache.
    pub blocks_total: usize,
    /// Blocks that running sequences refer to.
    pub blocks_used: usize,
    /// Unreferenced blocks kept for their contents.
    pub blocks_cached: usize,
    /// Prompt tokens of all requests that were admitted, counted once whatever `n` is.
    pub prompt_tokens: u64,
    /// Of those, how many came from the prefix cache.
    pub cached_tokens: u64,
    /// Tokens sampled.
    pub generated_tokens: u64,
    /// Tokens guessed ahead and computed.
    pub draft_tokens: u64,
    /// Of those, how many were right and became output.
    pub accepted_draft_tokens: u64,
    /// Sequences that lost their blocks and have to be recomputed.
    pub preemptions: u64,
    /// Sequences that asked the prefix cache when they were admitted.
    pub prefix_queries: u64,
    /// Of those, how many found at least one block.
    pub prefix_hits: u64,
    /// Steps committed, failed ones too.
    pub steps: u64,
}
