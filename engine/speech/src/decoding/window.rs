//! One window: a token after another, and once more at a higher temperature where what came out
//! is not to be believed.
//!
//! Invariant: at most as many tokens as the model has positions come of each try, and there are as
//! many tries as temperatures.

use std::sync::atomic::{AtomicBool, Ordering};

use engine_core::{EngineError, TokenId};
use rand::rngs::StdRng;

use super::{Fallback, choice, rules};
use crate::{executor::Executor, transcriber::TextOf, vocabulary::Vocabulary};

/// How hard a text is compressed: zlib's default.
const COMPRESSION_LEVEL: u8 = 6;

/// What a window is told before it is decoded.
pub(crate) struct Prefix {
    pub(crate) tokens: Vec<TokenId>,
    /// The place of the mark that a transcript begins with.
    pub(crate) start: usize,
}

/// What came of a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Decoded {
    /// Without the end.
    pub(crate) tokens: Vec<TokenId>,
    /// Whether the end came, and not too many tokens.
    pub(crate) is_whole: bool,
    /// The position of the window at which each token ends, where that was asked for.
    pub(crate) ends: Vec<usize>,
    pub(crate) temperature: f32,
    pub(crate) avg_logprob: f32,
    pub(crate) compression_ratio: f32,
    pub(crate) no_speech_prob: f32,
}

impl Decoded {
    /// Whether nothing was said.
    pub(crate) fn is_silence(&self, by: &Fallback) -> bool {
        self.no_speech_prob > by.no_speech_prob && self.avg_logprob < by.avg_logprob
    }

    fn is_poor(&self, by: &Fallback) -> bool {
        self.compression_ratio > by.compression_ratio || self.avg_logprob < by.avg_logprob
    }
}

/// Decodes the window that the executor has read.
pub(crate) struct WindowDecoder<'a> {
    pub(crate) executor: &'a mut Executor,
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) text_of: &'a TextOf,
    pub(crate) logits: &'a mut Vec<f32>,
    pub(crate) rng: &'a mut StdRng,
    pub(crate) stop: &'a AtomicBool,
}

impl WindowDecoder<'_> {
    /// At one temperature after another.
    pub(crate) fn decode(
        &mut self,
        prefix: &Prefix,
        temperatures: &[f32],
        fallback: Option<&Fallback>,
    ) -> Result<Decoded, EngineError> {
        let mut decoded = Decoded::default();
        for temperature in temperatures {
            decoded = self.decode_at(prefix, *temperature)?;
            let is_fine = fallback.is_none_or(|by| decoded.is_silence(by) || !decoded.is_poor(by));
            if is_fine || self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(decoded)
    }

    fn decode_at(&mut self, prefix: &Prefix, temperature: f32) -> Result<Decoded, EngineError> {
        let Prefix { tokens: before, start } = prefix;
        let max_tokens = self.executor.spec().max_tokens.saturating_sub(before.len());
        let vocab_size = self.executor.spec().vocab_size;
        self.logits.clear();
        self.executor.decode((before, 0), &[*start, before.len() - 1], self.logits);
        let no_speech = self.vocabulary.no_speech as usize;
        let no_speech_prob = choice::softmax_of(&self.logits[..vocab_size], no_speech);
        self.logits.drain(..vocab_size);
        let mut tokens = Vec::new();
        let (mut sum, mut num, mut is_whole) = (0.0, 0, false);
        while !self.stop.load(Ordering::Relaxed) {
            rules::apply(self.vocabulary, &tokens, self.logits);
            let chosen = choice::choose(self.logits, temperature, self.rng);
            let (index, logprob) = chosen.ok_or_else(|| {
                EngineError::Device("the model's logits are no numbers".to_owned())
            })?;
            (sum, num) = (sum + f64::from(logprob), num + 1);
            let token = index as TokenId;
            if token == self.vocabulary.end {
                is_whole = true;
                break;
            }
            tokens.push(token);
            if tokens.len() >= max_tokens {
                break;
            }
            let position = before.len() + tokens.len() - 1;
            self.logits.clear();
            self.executor.decode((&[token], position), &[0], self.logits);
        }
        let avg_logprob = if num == 0 { 0.0 } else { (sum / f64::from(num)) as f32 };
        let text: Vec<_> =
            tokens.iter().copied().filter(|token| *token < self.vocabulary.end).collect();
        let compression_ratio = compression_ratio((self.text_of)(&text).trim());
        let ends = Vec::new();
        Ok(Decoded {
            tokens,
            is_whole,
            ends,
            temperature,
            avg_logprob,
            compression_ratio,
            no_speech_prob,
        })
    }
}

fn compression_ratio(text: &str) -> f32 {
    let compressed = miniz_oxide::deflate::compress_to_vec_zlib(text.as_bytes(), COMPRESSION_LEVEL);
    text.len() as f32 / compressed.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_itself_has_a_high_ratio() {
        assert!(compression_ratio("") < 0.1);
        assert!(compression_ratio("The quick brown fox jumps over the lazy dog.") < 1.2);
        assert!(compression_ratio(&"Thank you. ".repeat(40)) > 2.4);
    }

    #[test]
    fn guesses_over_silence_are_silence() {
        let by = Fallback { compression_ratio: 2.4, avg_logprob: -1.0, no_speech_prob: 0.6 };
        let of = |avg_logprob, no_speech_prob, compression_ratio| Decoded {
            avg_logprob,
            no_speech_prob,
            compression_ratio,
            ..Decoded::default()
        };
        assert!(of(-1.5, 0.7, 1.0).is_silence(&by));
        // Sure of what was said, or not sure of silence.
        assert!(!of(-0.5, 0.9, 1.0).is_silence(&by));
        assert!(!of(-1.5, 0.5, 1.0).is_silence(&by) && of(-1.5, 0.5, 1.0).is_poor(&by));
        assert!(of(-0.5, 0.1, 2.5).is_poor(&by) && !of(-0.5, 0.1, 2.3).is_poor(&by));
    }
}
