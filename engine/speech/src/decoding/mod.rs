//! From logits to tokens, and from tokens to what was said when.
//!
//! Where each step of a window happens: `rules` (which tokens may come) → `choice` (which does) →
//! `window` (one after another, again at a higher temperature where that went badly) → `segments`
//! (times, and where the next window begins).
//!
//! Invariant: as openai-whisper and transformers have it; where these differ it is said.

mod choice;
mod rules;
mod segments;
mod window;

pub(crate) use self::{
    choice::argmax_of,
    segments::{Cut, cut},
    window::{Decoded, Prefix, WindowDecoder},
};

/// When what comes out of a window is not believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fallback {
    /// Text that is so many times longer than the same compressed repeats itself.
    pub compression_ratio: f32,
    /// Tokens whose mean logarithm of probability is below this are guesses.
    pub avg_logprob: f32,
    /// Guesses where nothing is said with a probability above this are nothing.
    pub no_speech_prob: f32,
}

/// How windows are decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodingOptions {
    /// One after another until what comes out is believed, where a request says 0.
    pub temperatures: Vec<f32>,
    /// When it is; always, if not said.
    pub fallback: Option<Fallback>,
    /// Whether a window is told what was said before it.
    pub condition_on_previous: bool,
}

impl Default for DecodingOptions {
    /// openai-whisper's.
    fn default() -> Self {
        Self {
            temperatures: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            fallback: Some(Fallback {
                compression_ratio: 2.4,
                avg_logprob: -1.0,
                no_speech_prob: 0.6,
            }),
            condition_on_previous: true,
        }
    }
}
