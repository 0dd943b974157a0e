//! The one trait between schedulers and models.

use crate::{CacheGroups, GrammarError, Step, StepOutput};

/// Something that computes steps: a language model on some device, or a mock of one.
///
/// An engine owns the memory of the KV cache, in blocks; which block belongs to whom is the
/// planner's business and comes with every step.
pub trait Engine: Send {
    /// Fixed for the life of the engine.
    fn limits(&self) -> EngineLimits;

    /// Computes one step.
    ///
    /// # Errors
    /// [`EngineError`]; then nothing of the step may be relied on. What concerns one sequence
    /// only is in [`SeqOutput::error`](crate::SeqOutput::error) instead.
    fn execute(&mut self, step: &Step) -> Result<StepOutput, EngineError>;
}

/// What an engine can hold and do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineLimits {
    /// Token positions per block.
    pub block_size: u32,
    /// Blocks in the KV cache, whichever group's.
    pub num_blocks: u32,
    /// Positions the model has: prompt and output together.
    pub max_model_len: u32,
    /// Input tokens per step, over all sequences.
    pub max_step_tokens: u32,
    /// Sequences per step.
    pub max_step_seqs: u32,
    /// Token ids are below this.
    pub vocab_size: u32,
    /// Which groups of layers take blocks.
    pub groups: CacheGroups,
}

impl EngineLimits {
    /// The longest sequence that can run: the model's context, or what the whole cache holds of
    /// one if that is less.
    pub fn max_sequence_len(&self) -> u32 {
        let CacheGroups { whole, windowed, .. } = self.groups;
        let of_all = self.num_blocks / self.groups.count().max(1);
        // Beside the most that the windowed ones ever hold, the others take all.
        let for_windowed = windowed.saturating_mul(self.max_windowed_columns());
        let beside = match self.num_blocks.checked_sub(for_windowed) {
            Some(left) => left.checked_div(whole).unwrap_or(u32::MAX),
            None => 0,
        };
        self.max_model_len.min(of_all.max(beside).saturating_mul(self.block_size))
    }

    /// Leading columns of a sequence whose windowed blocks nothing reads any more once so many
    /// positions are computed.
    pub fn num_passed_columns(&self, num_computed: u32) -> u32 {
        num_computed.saturating_add(1).saturating_sub(self.groups.window) / self.block_size
    }

    /// Columns that a windowed group has blocks of at once, at most: those that the window and a
    /// whole step's input may lie in.
    pub fn max_windowed_columns(&self) -> u32 {
        let positions = self.groups.window.saturating_add(self.max_step_tokens).saturating_sub(1);
        positions.saturating_sub(1).div_ceil(self.block_size).saturating_add(1)
    }
}

/// A step failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The planner asked for something impossible; a bug in the caller.
    #[error("invalid step: {0}")]
    InvalidStep(String),
    /// The device failed or ran out of memory.
    #[error("device: {0}")]
    Device(String),
    /// The grammar that a sequence must match cannot be followed any further.
    #[error("grammar: {0}")]
    Grammar(#[from] GrammarError),
}
