//! One step of the loop plan → execute → commit, as plain data.
//!
//! There is no "prefill path" and no "decode path": which one a [`SeqWork`] is follows from its
//! numbers, so one step mixes both (chunked prefill, continuous batching).

use std::sync::Arc;

use crate::{
    Adapter, BlockId, CacheGroups, EngineError, EngineLimits, Inset, PendingMask, SamplingParams,
    SeqId, TokenId,
};

/// Everything an engine computes in one go.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// Counts up from 0.
    pub step_idx: u64,
    /// At most [`max_step_seqs`](crate::EngineLimits::max_step_seqs) entries with at most
    /// [`max_step_tokens`](crate::EngineLimits::max_step_tokens) input tokens together.
    pub work: Vec<SeqWork>,
}

impl Step {
    /// Input tokens over all sequences.
    pub fn num_tokens(&self) -> usize {
        self.work.iter().map(|w| w.input.len()).sum()
    }
}

/// Blocks of a sequence in order of position, a column at a time: what group `g` of an engine with
/// `n` groups ([`CacheGroups`](crate::CacheGroups)) keeps of position `p` lives in block
/// `blocks[p / block_size * n + g]` at offset `p % block_size`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockTable(pub Vec<BlockId>);

impl BlockTable {
    /// For a sequence that has the cache to itself: there are blocks for up to
    /// [`max_sequence_len`](EngineLimits::max_sequence_len) positions, for windowed groups have
    /// theirs in turn.
    pub fn alone(limits: &EngineLimits, num_positions: u32) -> Self {
        let CacheGroups { whole, windowed, .. } = limits.groups;
        let num_columns = num_positions.div_ceil(limits.block_size);
        let turn = num_columns.min(limits.max_windowed_columns());
        let column = |idx: u32| {
            let of_whole = (0..whole).map(move |group| idx * whole + group);
            let first = num_columns * whole + idx % turn * windowed;
            of_whole.chain((0..windowed).map(move |group| first + group))
        };
        Self((0..num_columns).flat_map(column).map(BlockId).collect())
    }
}

/// One unit of work for one sequence in one step.
///
/// The engine computes `input` at positions `num_cached_tokens ..`, writes their keys and values
/// through `block_table` (which covers all of them), and answers what `want` and `score` ask.
#[derive(Clone, Debug)]
pub struct SeqWork {
    /// Whose work.
    pub seq: SeqId,
    /// The adapter that all its positions are computed with.
    pub adapter: Option<Adapter>,
    /// The tokens to compute; at least one that is known.
    pub input: Vec<TokenId>,
    /// What of the input has rows in place of embeddings.
    pub insets: Vec<Inset>,
    /// How many of them, at the end, are drafts: guesses at the tokens to be sampled. What is
    /// computed of those that turn out wrong is written over later. Only with [`Want::Sample`].
    pub num_drafts: u32,
    /// Positions whose keys and values are already in the cache.
    pub num_cached_tokens: u32,
    /// Covers `num_cached_tokens + input.len()` positions. Blocks that a windowed group does not
    /// read any more may be another sequence's.
    pub block_table: BlockTable,
    /// What to make of the last known position and those of the drafts.
    pub want: Want,
    /// Log-probabilities wanted of given tokens, one per input position.
    pub score: Option<Score>,
}

impl SeqWork {
    /// Input tokens that are known.
    pub fn num_known(&self) -> usize {
        self.input.len().saturating_sub(self.num_drafts as usize)
    }

    /// The guesses at the end of the input.
    pub fn drafts(&self) -> &[TokenId] {
        &self.input[self.num_known()..]
    }

    /// Whether the token after the first `num_right` drafts counts: all before it were sampled,
    /// and were those drafts.
    pub fn is_reached(&self, num_right: usize, sampled: &[Sampled]) -> bool {
        sampled.len() == num_right
            && sampled.iter().zip(self.drafts()).all(|(sampled, draft)| sampled.token == *draft)
    }
}

/// What is wanted of the last known position of a [`SeqWork`], and of its drafts.
#[derive(Clone, Debug)]
pub enum Want {
    /// Only the cache entries (a prefill chunk that is not the last).
    Nothing,
    /// The next token; and as long as it is the draft that stands in its place, the one after it.
    Sample(Sample),
}

/// All that choosing a token depends on beside the logits; nothing is kept between steps, so a
/// preempted and resumed sequence draws the same tokens.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Temperature, truncation, penalties, bias.
    pub params: Arc<SamplingParams>,
    /// The choice's own stream of random numbers.
    pub seed: u64,
    /// Tokens generated so far: the draw depends on (`seed`, `num_generated`) only.
    pub num_generated: u32,
    /// Before this many tokens `banned` must not be chosen.
    pub min_tokens: u32,
    /// Ends of sequence.
    pub banned: Arc<[TokenId]>,
    /// Set if [`SamplingParams::needs_history`].
    pub history: Option<History>,
    /// Set if the sequence must match a grammar; then there are no drafts.
    pub mask: Option<Arc<dyn PendingMask>>,
}

impl Sample {
    /// Tokens that must not be chosen now.
    pub fn banned_now(&self) -> &[TokenId] {
        if self.num_generated < self.min_tokens { &self.banned } else { &[] }
    }

    /// How to choose the token after these further ones.
    #[must_use]
    pub fn after(&self, further: &[TokenId]) -> Self {
        let mut sample = self.clone();
        sample.num_generated += further.len() as u32;
        if let Some(history) = &mut sample.history {
            history.tokens.extend_from_slice(further);
        }
        sample
    }
}

/// The tokens that penalties look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Prompt and output.
    pub tokens: Vec<TokenId>,
    /// How many of them are prompt.
    pub num_prompt_tokens: u32,
}

/// Asks for the log-probability of `targets[i]` after input position `i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// The tokens that follow the input positions: `input.len()` of them, or one fewer when
    /// nothing follows the last.
    pub targets: Vec<TokenId>,
    /// How many alternatives to report beside each.
    pub num_top: u32,
}

/// What came out of a step: one entry per [`SeqWork`], in the same order.
#[derive(Clone, Debug, Default)]
pub struct StepOutput {
    /// Answers in the order of [`Step::work`].
    pub outputs: Vec<SeqOutput>,
}

/// The answer to one [`SeqWork`].
#[derive(Clone, Debug)]
pub struct SeqOutput {
    /// Whose answer.
    pub seq: SeqId,
    /// Empty unless the work wanted a sample, and where that is late. Otherwise at least one token,
    /// and every one but the last is the draft in its place: what sampling one token a step would
    /// have given.
    pub sampled: Vec<Sampled>,
    /// What its grammar allows was not known in time: all else of its answer counts, and the last
    /// position is to be computed again.
    pub is_late: bool,
    /// One per target of [`SeqWork::score`].
    pub scores: Vec<TokenLogprobs>,
    /// This sequence alone went wrong; then nothing else of its answer counts.
    pub error: Option<EngineError>,
}

/// A chosen token.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// The token.
    pub token: TokenId,
    /// Set if [`SamplingParams::logprobs`] is.
    pub logprobs: Option<TokenLogprobs>,
}

/// Log-probabilities (natural logarithm) of the model's distribution at one position, before
/// temperature, penalties and truncation.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprobs {
    /// The token chosen, or the prompt's token.
    pub token: TokenId,
    /// Its log-probability.
    pub logprob: f32,
    /// The most likely tokens, best first.
    pub top: Vec<(TokenId, f32)>,
}
