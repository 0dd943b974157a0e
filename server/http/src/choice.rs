//! The text of one choice, token by token.
//!
//! Invariant: deltas joined are the choice's text; a token's score goes out with the first
//! character of its text, and nothing goes out of tokens that lie in a stop text.

use std::collections::VecDeque;
use std::sync::Arc;

use engine_core::{TokenId, TokenLogprobs};
use engine_text::{Detokenizer, StopMatcher, TextModel};

use crate::params::Params;

/// The last tokens of the prompt that may matter to the first text: more than any character has.
const PROMPT_TAIL: usize = 8;

/// A token with its log-probabilities.
#[derive(Clone, Debug)]
pub(crate) struct Scored {
    pub(crate) token: TokenId,
    /// `None` for a prompt's first token.
    pub(crate) logprob: Option<f32>,
    /// The likeliest tokens, best first.
    pub(crate) top: Vec<(TokenId, f32)>,
    /// Where the token's text begins in the choice's text, in characters.
    pub(crate) offset: usize,
}

impl Scored {
    pub(crate) fn new(scores: TokenLogprobs, offset: usize) -> Self {
        let TokenLogprobs { token, logprob, top } = scores;
        Self { token, logprob: Some(logprob), top, offset }
    }
}

/// What became known of a choice.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Scored>,
    /// The stop text that was met, by which the choice has ended.
    pub(crate) stopped: Option<usize>,
}

/// Follows one choice to its end.
pub(crate) struct ChoiceText {
    params: Arc<Params>,
    detokenizer: Detokenizer,
    stops: StopMatcher,
    /// Tokens that were scored and not yet given out.
    pending: Vec<Scored>,
    num_tokens: u32,
    /// Where the text of each token begins that has not begun to go out.
    held: VecDeque<usize>,
    /// Whether the last token is one that ends an answer.
    met_end: bool,
    /// Characters that the tokens so far have made, and how many of them were given out.
    num_chars: usize,
    num_emitted: usize,
    ended: bool,
}

impl ChoiceText {
    /// A choice after `prompt`; its text begins at character `offset` of what the client sees.
    pub(crate) fn new(
        text: &Arc<TextModel>,
        params: &Arc<Params>,
        prompt: &[TokenId],
        offset: usize,
    ) -> Self {
        let tail = &prompt[prompt.len().saturating_sub(PROMPT_TAIL)..];
        Self {
            params: Arc::clone(params),
            detokenizer: Detokenizer::new(Arc::clone(text), params.skip_special, tail),
            stops: StopMatcher::new(params.stop_texts.clone(), params.include_stop),
            pending: Vec::new(),
            num_tokens: 0,
            held: VecDeque::new(),
            met_end: false,
            num_chars: offset,
            num_emitted: offset,
            ended: false,
        }
    }

    /// Tokens taken in, up to the end.
    pub(crate) fn num_tokens(&self) -> u32 {
        self.num_tokens
    }

    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether the last token that was taken in ends an answer.
    pub(crate) fn met_end(&self) -> bool {
        self.met_end
    }

    /// Tokens of which any text has gone out, if the last `num_withheld` characters that were given
    /// out went no further.
    pub(crate) fn num_out(&mut self, num_withheld: usize) -> u32 {
        let num_gone = self.num_emitted.saturating_sub(num_withheld);
        while self.held.pop_front_if(|start| *start < num_gone).is_some() {}
        self.num_tokens - self.held.len() as u32
    }

    /// Takes no more in.
    pub(crate) fn stop(&mut self) {
        self.ended = true;
    }

    /// Takes the next token in; tokens after the end are nobody's.
    pub(crate) fn push(&mut self, token: TokenId, scores: Option<TokenLogprobs>) -> Piece {
        if self.ended {
            return Piece::default();
        }
        self.num_tokens += 1;
        self.held.push_back(self.num_chars);
        self.met_end = self.params.ends_with(token);
        let scored = scores.map(|scores| Scored::new(scores, self.num_chars));
        if self.met_end && !self.params.include_stop {
            // Who has a prompt scored counts on one score for each token, and cuts this one off.
            self.pending.extend(scored.filter(|_| self.params.echo));
            return Piece::default();
        }
        self.pending.extend(scored);
        let text = self.detokenizer.push(token);
        self.advance(text)
    }

    /// The choice ended: gives out what was held back.
    pub(crate) fn finish(&mut self) -> Piece {
        let text = self.detokenizer.finish();
        let mut piece = self.advance(text);
        self.ended = true;
        if piece.stopped.is_none() {
            piece.text += &self.stops.finish();
            self.num_emitted = self.num_chars;
            piece.tokens.append(&mut self.pending);
        }
        piece
    }

    fn advance(&mut self, text: String) -> Piece {
        self.num_chars += text.chars().count();
        let (text, stopped) = if self.num_tokens < self.params.stop.min_tokens {
            (text, None)
        } else {
            let step = self.stops.push(&text);
            (step.emit, step.stopped)
        };
        self.num_emitted += text.chars().count();
        self.ended |= stopped.is_some();
        let num_out = self.pending.partition_point(|scored| scored.offset < self.num_emitted);
        Piece { text, tokens: self.pending.drain(..num_out).collect(), stopped }
    }
}
