//! The trait between schedulers and models that write down what is said in a recording.

use std::sync::atomic::AtomicBool;

use crate::{EngineError, TokenId};

/// Something that turns sound into text: a transcriber, or a translator into English.
///
/// A recording is taken in windows, one a [`step`](Speech::step), so that several recordings can
/// take turns. What is said of one does not depend on the others.
pub trait Speech: Send {
    /// What is known of one recording between its steps.
    type Session: Send;

    /// Fixed for the life of the model.
    fn info(&self) -> &SpeechInfo;

    /// Takes a recording in.
    ///
    /// # Errors
    /// [`EngineError`], where it cannot be computed at all.
    fn begin(&mut self, input: &SpeechInput) -> Result<Self::Session, EngineError>;

    /// Computes the next window. `stop` may become true meanwhile: nobody wants the rest any
    /// more, and what comes back is not looked at.
    ///
    /// # Errors
    /// [`EngineError`]; the session cannot go on.
    fn step(
        &mut self,
        session: &mut Self::Session,
        stop: &AtomicBool,
    ) -> Result<SpeechStep, EngineError>;
}

/// What a model of speech is.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechInfo {
    /// Samples of a second of its input.
    pub sample_rate: u32,
    /// Codes of the languages that it knows (`en`), sorted; empty if it knows English alone.
    pub languages: Vec<String>,
    /// Tokens of the longest text that may be told beforehand; of a longer one its end counts.
    pub max_prompt_len: usize,
    /// Tokens below this are text; the others are marks and times.
    pub first_mark: TokenId,
    /// Tokens of one window at most, with what comes before them.
    pub max_len: usize,
}

impl SpeechInfo {
    /// Whether it can be told the language, and translate.
    pub fn is_multilingual(&self) -> bool {
        !self.languages.is_empty()
    }
}

/// What is to be written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpeechTask {
    /// What is said, in its language.
    #[default]
    Transcribe,
    /// The same in English.
    Translate,
}

/// A recording, and how to take it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpeechInput {
    /// One channel.
    pub samples: Vec<f32>,
    /// What is to be written down.
    pub task: SpeechTask,
    /// The code of the language that is spoken; if it is not said the model finds it.
    pub language: Option<String>,
    /// A text that came before, or is in the style that is wanted.
    pub prompt: Vec<TokenId>,
    /// 0 for the likeliest tokens, and more where what comes out of that is not likely; above it
    /// tokens are drawn.
    pub temperature: f32,
    /// Whether it is told when each token is said.
    pub token_times: bool,
}

/// What a window said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpeechStep {
    /// What is said by now; only ever added to.
    pub segments: Vec<Segment>,
    /// The code of the language that the recording is in.
    pub language: String,
    /// Whether it was the last window.
    pub is_last: bool,
}

/// A stretch of speech, as long as a sentence or so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// Where its window begins, in hundredths of a second.
    pub seek: usize,
    /// In seconds from the beginning of the recording.
    pub start: f64,
    /// Likewise.
    pub end: f64,
    /// Marks of time among them.
    pub tokens: Vec<TokenId>,
    /// Beginning and end of each, in seconds from the beginning of the recording; none where
    /// nobody asked for them.
    pub token_times: Vec<[f64; 2]>,
    /// What its window was computed with.
    pub temperature: f32,
    /// The mean logarithm of its window's tokens' probabilities.
    pub avg_logprob: f32,
    /// How many times longer its window's text is than the same compressed.
    pub compression_ratio: f32,
    /// How likely nothing is said in its window.
    pub no_speech_prob: f32,
}
