//! Which token follows which prefix.
//!
//! Invariant: a pure function of the prefix, the seed and the number of generated tokens.

use std::num::NonZeroU32;
use std::sync::Arc;

use engine_core::{GrammarError, NoMask, Sample, Sampled, TokenId, TokenLogprobs};

use crate::StepCost;
use crate::memory::mix;

/// How the mock chooses tokens. The default draws from the whole vocabulary and never ends a
/// sequence.
#[derive(Clone, Debug, Default)]
pub struct MockModel {
    /// Two models with different seeds answer differently.
    pub seed: u64,
    /// The end-of-sequence token, if sequences shall end by themselves.
    pub eos_token: Option<TokenId>,
    /// How likely each token is the end of sequence, 0 to 1.
    pub eos_probability: f64,
    /// Says this instead of random tokens.
    pub script: Option<Script>,
    /// After so many tokens says the same again, but for about every fourth token.
    pub refrain: Option<NonZeroU32>,
    /// Virtual and real time of a step.
    pub cost: StepCost,
}

/// A text to answer whatever is asked, for tokenizers whose token ids are bytes.
#[derive(Clone, Debug)]
pub struct Script(Arc<[u8]>);

impl Script {
    /// One token per byte, then the end of sequence (or the text anew, if the model has none).
    pub fn new(text: impl AsRef<[u8]>) -> Self {
        Self(text.as_ref().into())
    }

    fn token(&self, num_generated: u32, eos_token: Option<TokenId>) -> Option<TokenId> {
        let num_bytes = self.0.len().max(1);
        match self.0.get(num_generated as usize) {
            Some(byte) => Some(TokenId::from(*byte)),
            None => eos_token.or_else(|| {
                let byte = self.0.get(num_generated as usize % num_bytes);
                byte.copied().map(TokenId::from)
            }),
        }
    }
}

impl MockModel {
    /// A model that answers `text` byte by byte, then `eos_token`.
    pub fn scripted(text: impl AsRef<[u8]>, eos_token: TokenId) -> Self {
        Self { eos_token: Some(eos_token), script: Some(Script::new(text)), ..Self::default() }
    }

    /// The token after a prefix with this hash.
    pub(crate) fn sample(
        &self,
        prefix: u64,
        sample: &Sample,
        vocab_size: u32,
    ) -> Result<Sampled, NoMask> {
        let (own, place) = (mix(self.seed ^ mix(sample.seed)), sample.num_generated);
        let draw = mix(prefix ^ own ^ u64::from(place));
        let draw = match self.refrain {
            Some(len) if !draw.is_multiple_of(4) => mix(own ^ u64::from(place % len)),
            _ => draw,
        };
        let scripted = self.script.as_ref();
        let scripted = scripted.and_then(|s| s.token(sample.num_generated, self.eos_token));
        let first = scripted.unwrap_or_else(|| self.draw(draw, vocab_size));
        // The next token up that is allowed; at most the whole vocabulary is looked at.
        let banned = sample.banned_now();
        let mask = sample.mask.as_ref().map(|mask| mask.wait()).transpose()?;
        let is_allowed = |token: &TokenId| {
            !banned.contains(token) && mask.as_ref().is_none_or(|mask| mask.allows(*token))
        };
        let token = match (0..vocab_size).map(|i| (first + i) % vocab_size).find(is_allowed) {
            Some(token) => token,
            None if mask.is_some() => {
                return Err(GrammarError("no token may follow".to_owned()).into());
            }
            None => first,
        };
        let logprobs = sample.params.logprobs.map(|k| self.score(prefix, token, k, vocab_size));
        Ok(Sampled { token, logprobs })
    }

    fn draw(&self, draw: u64, vocab_size: u32) -> TokenId {
        // 32 bits decide about the end, the other 32 choose the token.
        let fraction = (draw >> 32) as f64 / f64::from(u32::MAX);
        match self.eos_token {
            Some(eos) if fraction < self.eos_probability => eos,
            eos => {
                let token = (draw as u32) % vocab_size;
                // By chance only as often as asked for.
                if Some(token) == eos { (token + 1) % vocab_size } else { token }
            }
        }
    }

    /// Made-up log-probabilities of `token` and of `num_top` others after a prefix.
    pub(crate) fn score(
        &self,
        prefix: u64,
        token: TokenId,
        num_top: u32,
        vocab_size: u32,
    ) -> TokenLogprobs {
        let logprob = |token: TokenId| {
            -((mix(prefix ^ mix(self.seed) ^ u64::from(token)) % 1000) as f32) / 100.0 - 0.01
        };
        let num_top = num_top.min(vocab_size);
        let first = (prefix % u64::from(vocab_size.max(1))) as u32;
        let mut top: Vec<_> = (0..num_top)
            .map(|i| (first + i) % vocab_size)
            .map(|token| (token, logprob(token)))
            .collect();
        top.sort_by(|a, b| b.1.total_cmp(&a.1));
        TokenLogprobs { token, logprob: logprob(token), top }
    }
}
