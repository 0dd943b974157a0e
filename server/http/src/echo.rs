//! The prompt, given back before an answer.
//!
//! Invariant: its scored tokens are all of the prompt's, the first without a score.

use std::sync::Arc;

use engine_core::{TokenId, TokenLogprobs};
use engine_text::Detokenizer;

use crate::ServedModel;
use crate::choice::Scored;
use crate::params::Params;

/// A prompt to give back.
pub(crate) struct Echo {
    pub(crate) text: String,
    tokens: Vec<TokenId>,
    detokenizer: Detokenizer,
    scored: bool,
}

impl Echo {
    pub(crate) fn new(
        text: String,
        tokens: &[TokenId],
        model: &ServedModel,
        params: &Params,
    ) -> Self {
        let tokens = tokens.to_vec();
        let detokenizer = Detokenizer::new(Arc::clone(&model.text), params.skip_special, &[]);
        Self { text, tokens, detokenizer, scored: params.sampling.logprobs.is_some() }
    }

    /// The tokens, if scores were asked for; `scores` lacks the first one's.
    pub(crate) fn tokens(&mut self, scores: Vec<TokenLogprobs>) -> Vec<Scored> {
        if !self.scored {
            return Vec::new();
        }
        let mut offset = 0;
        let mut scores = scores.into_iter();
        let mut scored = Vec::with_capacity(self.tokens.len());
        for (idx, &token) in self.tokens.iter().enumerate() {
            scored.push(match if idx == 0 { None } else { scores.next() } {
                Some(scores) => Scored::new(scores, offset),
                None => Scored { token, logprob: None, top: Vec::new(), offset },
            });
            offset += self.detokenizer.push(token).chars().count();
        }
        scored
    }
}
