//! The one trait between schedulers and models.

use crate::{GrammarError, Step, StepOutput};

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
    /// Blocks in the KV cache.
    pub num_blocks: u32,
    /// Positions the model has: prompt and output together.
    pub max_model_len: u32,
    /// Input tokens per step, over all sequences.
    pub max_step_tokens: u32,
    /// Sequences per step.
    pub max_step_seqs: u32,
    /// Token ids are below this.
    pub vocab_size: u32,
    /// Where no layer sees everything: a position reads nothing but itself and the `window - 1`
    /// before it.
    pub window: Option<u32>,
}

impl EngineLimits {
    /// The longest sequence that can run: the model's context, or the whole cache if smaller.
    pub fn max_sequence_len(&self) -> u32 {
        self.max_model_len.min(self.num_blocks.saturating_mul(self.block_size))
    }

    /// Leading blocks of a sequence that nothing reads any more once so many positions are
    /// computed.
    pub fn num_passed_blocks(&self, num_computed: u32) -> u32 {
        let window = self.window.unwrap_or(u32::MAX);
        num_computed.saturating_add(1).saturating_sub(window) / self.block_size
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
