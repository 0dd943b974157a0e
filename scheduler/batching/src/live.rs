//! A request between submission and its last event.
//!
//! Only the first open choice runs until the prompt is computed (and scored); then the others
//! start and find its blocks in the prefix cache. Invariant: `choices` has one entry per choice,
//! and a choice that ended never leaves that state.

use std::sync::Arc;

use engine_core::{SeqId, TokenLogprobs, Usage};

use crate::sequence::{Common, Sequence};

/// Where a choice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Waits for the first choice to compute the prompt.
    Held,
    /// Its sequence is in the queue or runs.
    Active,
    Ended,
}

/// The state that the choices of one request share.
pub(crate) struct Live {
    pub(crate) common: Arc<Common>,
    /// Choice `i` is sequence `first_seq + i`.
    first_seq: SeqId,
    pub(crate) choices: Vec<Choice>,
    /// Set when a choice was first admitted.
    pub(crate) admitted: bool,
    pub(crate) prompt_done: bool,
    /// Scores of the prompt so far, if asked for; taken when reported.
    pub(crate) scores: Vec<TokenLogprobs>,
    pub(crate) usage: Usage,
}

impl Live {
    pub(crate) fn new(common: Arc<Common>, first_seq: SeqId) -> Self {
        let usage =
            Usage { prompt_tokens: common.request.prompt.len() as u32, ..Default::default() };
        Self {
            first_seq,
            choices: vec![Choice::Held; common.request.n as usize],
            admitted: false,
            prompt_done: false,
            scores: Vec::new(),
            usage,
            common,
        }
    }

    pub(crate) fn seq_id(&self, index: u32) -> SeqId {
        SeqId(self.first_seq.0 + u64::from(index))
    }

    /// Whether positions of the prompt have still to be scored.
    pub(crate) fn needs_scores(&self) -> bool {
        self.common.request.prompt_logprobs.is_some() && !self.prompt_done
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.choices.iter().all(|choice| *choice == Choice::Ended)
    }

    /// Sequences that may start now: all that are held once the prompt is computed, else one if
    /// none is under way.
    pub(crate) fn release_held(&mut self) -> Vec<Sequence> {
        let most = match (self.prompt_done, self.choices.contains(&Choice::Active)) {
            (true, _) => usize::MAX,
            (false, true) => return Vec::new(),
            (false, false) => 1,
        };
        let held = self.choices.iter_mut().enumerate().filter(|(_, c)| **c == Choice::Held);
        let released = held.take(most).map(|(index, choice)| {
            *choice = Choice::Active;
            let id = SeqId(self.first_seq.0 + index as u64);
            Sequence::new(id, index as u32, Arc::clone(&self.common))
        });
        released.collect()
    }
}
