//! Recordings, a window at a time.
//!
//! Invariant: a session holds the features of its recording and what was said of it so far, and
//! every step leaves less of the recording to do.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use engine_core::{EngineError, Speech, SpeechInfo, SpeechInput, SpeechStep, SpeechTask, TokenId};
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    decoding::{Cut, Decoded, DecodingOptions, Prefix, WindowDecoder, argmax_of, cut},
    executor::Executor,
    mel::{Features, HOP, MelFilters, SAMPLE_RATE},
    spec::FRAMES_PER_POSITION,
    vocabulary::Vocabulary,
};

/// Above this, what was said is nothing for the next window to go by.
const MAX_TOLD_TEMPERATURE: f32 = 0.5;
/// Of a model that knows English alone.
const ENGLISH: &str = "en";

/// The text of tokens, which tells how much it repeats itself.
pub type TextOf = Arc<dyn Fn(&[TokenId]) -> String + Send + Sync>;

/// A model that writes down what is said.
pub struct Transcriber {
    info: SpeechInfo,
    executor: Executor,
    vocabulary: Vocabulary,
    filters: MelFilters,
    text_of: TextOf,
    options: DecodingOptions,
    /// The features of a window.
    window: Vec<f32>,
    logits: Vec<f32>,
}

/// A recording on its way to text.
pub struct Session {
    features: Features,
    /// Frames of what was recorded, without the silence after it.
    num_frames: usize,
    seek: usize,
    task: SpeechTask,
    language: Option<String>,
    temperature: f32,
    token_times: bool,
    /// What was said before, and in windows so far; what counts of it begins at `told_from`.
    said: Vec<TokenId>,
    told_from: usize,
    /// The same recording gives the same text.
    rng: StdRng,
}

impl Transcriber {
    /// Decodes with `executor`, as `options` say.
    pub fn new(
        executor: Executor,
        vocabulary: Vocabulary,
        text_of: TextOf,
        options: DecodingOptions,
    ) -> Self {
        let spec = executor.spec();
        let info = SpeechInfo {
            sample_rate: SAMPLE_RATE as u32,
            languages: vocabulary.languages.keys().cloned().collect(),
            max_prompt_len: spec.max_tokens / 2 - 1,
            first_mark: vocabulary.end,
            max_len: spec.max_tokens,
        };
        let filters = MelFilters::new(spec.num_mels);
        let window = vec![0.0; spec.window_frames() * spec.num_mels];
        let logits = Vec::new();
        Self { info, executor, vocabulary, filters, text_of, options, window, logits }
    }

    /// Reads the window at `session`'s place; says how many of its frames were recorded.
    fn read(&mut self, session: &Session) -> usize {
        let num_mels = session.features.num_mels;
        let features = &session.features.data[session.seek * num_mels..];
        let len = features.len().min(self.window.len());
        self.window[..len].copy_from_slice(&features[..len]);
        self.window[len..].fill(0.0);
        self.executor.encode(&self.window);
        (session.num_frames - session.seek).min(self.window.len() / num_mels)
    }

    /// The likeliest language of the window that was read.
    fn detect(&mut self) -> String {
        self.logits.clear();
        self.executor.decode((&[self.vocabulary.start], 0), &[0], &mut self.logits);
        let places = self.vocabulary.languages.values().map(|id| *id as usize);
        let best = argmax_of(&self.logits, places);
        let found = self.vocabulary.languages.iter().find(|(_, id)| Some(**id as usize) == best);
        found.map_or_else(|| ENGLISH.to_owned(), |(code, _)| code.clone())
    }

    /// What a window is told: what was said before, language and task.
    fn prefix(&self, session: &Session, language: &str) -> Prefix {
        let told = &session.said[session.told_from..];
        let told = &told[told.len().saturating_sub(self.info.max_prompt_len)..];
        let mut tokens = Vec::with_capacity(told.len() + 4);
        if !told.is_empty() {
            tokens.push(self.vocabulary.previous);
            tokens.extend_from_slice(told);
        }
        let start = tokens.len();
        tokens.push(self.vocabulary.start);
        if let Some(language) = self.vocabulary.languages.get(language) {
            tokens.push(*language);
            tokens.push(match session.task {
                SpeechTask::Transcribe => self.vocabulary.transcribe,
                SpeechTask::Translate => self.vocabulary.translate,
            });
        }
        Prefix { tokens, start }
    }

    /// The position at which each token of the window that was read ends.
    fn ends(
        &mut self,
        prefix: &Prefix,
        decoded: &Decoded,
        num_frames: usize,
        stop: &AtomicBool,
    ) -> Vec<usize> {
        let tokens = &decoded.tokens;
        // As in transformers, nothing is computed after the last token of all, which is mostly the
        // end: where it is not, it ends where the one before it does.
        let seen = if decoded.is_whole { tokens.len() } else { tokens.len().saturating_sub(1) };
        let num_positions = (num_frames / FRAMES_PER_POSITION).max(1);
        let stop = || stop.load(Ordering::Relaxed);
        let all = (prefix.tokens.as_slice(), &tokens[..seen]);
        let mut ends = self.executor.align(all, num_positions, &stop).unwrap_or_default();
        ends.resize(tokens.len(), ends.last().copied().unwrap_or(0));
        ends
    }
}

impl Speech for Transcriber {
    type Session = Session;

    fn info(&self) -> &SpeechInfo {
        &self.info
    }

    fn begin(&mut self, input: &SpeechInput) -> Result<Session, EngineError> {
        let refuse = |what: &str| Err(EngineError::InvalidStep(what.to_owned()));
        let knows = |code: &String| self.vocabulary.languages.contains_key(code);
        if input.language.as_ref().is_some_and(|code| !knows(code) && code != ENGLISH) {
            return refuse("a language that the model does not know");
        }
        if input.task == SpeechTask::Translate && !self.info.is_multilingual() {
            return refuse("a translation by a model that knows English alone");
        }
        if input.prompt.iter().any(|token| *token >= self.vocabulary.end) {
            return refuse("a prompt with what is no text");
        }
        let min_len = self.executor.spec().window_samples();
        let features = self.filters.features(&input.samples, min_len);
        Ok(Session {
            num_frames: (input.samples.len() / HOP).max(1),
            features,
            seek: 0,
            task: input.task,
            language: input.language.clone(),
            temperature: input.temperature,
            token_times: input.token_times,
            said: input.prompt.clone(),
            told_from: 0,
            rng: StdRng::seed_from_u64(0),
        })
    }

    fn step(
        &mut self,
        session: &mut Session,
        stop: &AtomicBool,
    ) -> Result<SpeechStep, EngineError> {
        if stop.load(Ordering::Relaxed) || session.seek >= session.num_frames {
            return Ok(SpeechStep { is_last: true, ..SpeechStep::default() });
        }
        let num_frames = self.read(session);
        let language = match &session.language {
            Some(language) => language.clone(),
            None => self.detect(),
        };
        session.language = Some(language.clone());
        let prefix = self.prefix(session, &language);
        let asked = [session.temperature];
        let temperatures: &[f32] =
            if session.temperature > 0.0 { &asked } else { &self.options.temperatures };
        let fallback = self.options.fallback.as_ref();
        let mut decoder = WindowDecoder {
            executor: &mut self.executor,
            vocabulary: &self.vocabulary,
            text_of: &self.text_of,
            logits: &mut self.logits,
            rng: &mut session.rng,
            stop,
        };
        let mut decoded = decoder.decode(&prefix, temperatures, fallback)?;
        let is_silence = fallback.is_some_and(|fallback| decoded.is_silence(fallback));
        if session.token_times && !is_silence {
            decoded.ends = self.ends(&prefix, &decoded, num_frames, stop);
        }
        let Cut { segments, advance } = match is_silence {
            true => Cut { segments: Vec::new(), advance: num_frames },
            false => cut(&self.vocabulary, &decoded, (session.seek, num_frames)),
        };
        session.said.extend(segments.iter().flat_map(|segment| &segment.tokens));
        if !self.options.condition_on_previous || decoded.temperature > MAX_TOLD_TEMPERATURE {
            session.told_from = session.said.len();
        }
        session.seek += advance;
        Ok(SpeechStep { segments, language, is_last: session.seek >= session.num_frames })
    }
}
