//! A model of speech without weights: what it says is made of the samples alone.
//!
//! Invariant: a recording's text depends on that recording only.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine_core::{
    EngineError, Segment, Speech, SpeechInfo, SpeechInput, SpeechStep, SpeechTask, TokenId,
};

use crate::Fault;

/// Samples of a second, and so of a window.
const WINDOW: usize = 16_000;
/// How often a window that takes time looks whether it is still wanted.
const PIECES: u32 = 20;

/// Says a letter a second: louder ones are later in the alphabet. Its tokens are bytes.
pub struct MockSpeech {
    info: SpeechInfo,
    delay: Duration,
    faults: BTreeMap<u64, Fault>,
    next_window: u64,
}

/// Where a recording is.
pub struct MockSession {
    input: SpeechInput,
    at: usize,
}

impl MockSpeech {
    /// Knows these languages.
    pub fn new(languages: &[&str]) -> Self {
        let languages = languages.iter().map(|code| (*code).to_owned()).collect();
        let info = SpeechInfo {
            sample_rate: WINDOW as u32,
            languages,
            max_prompt_len: 16,
            first_mark: 256,
            max_len: 64,
        };
        Self { info, delay: Duration::ZERO, faults: BTreeMap::new(), next_window: 0 }
    }

    /// Takes this long for a window.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Has the window with this index fail.
    #[must_use]
    pub fn with_fault(mut self, window_idx: u64, fault: Fault) -> Self {
        self.faults.insert(window_idx, fault);
        self
    }

    /// What is said in a second of sound.
    pub fn letter(samples: &[f32]) -> char {
        let loudest = samples.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        char::from(b'a' + (loudest * 25.0) as u8 % 26)
    }
}

impl Speech for MockSpeech {
    type Session = MockSession;

    fn info(&self) -> &SpeechInfo {
        &self.info
    }

    fn begin(&mut self, input: &SpeechInput) -> Result<MockSession, EngineError> {
        Ok(MockSession { input: input.clone(), at: 0 })
    }

    fn step(
        &mut self,
        session: &mut MockSession,
        stop: &AtomicBool,
    ) -> Result<SpeechStep, EngineError> {
        let window = self.next_window;
        self.next_window += 1;
        for _ in 0..PIECES {
            if !self.delay.is_zero() && !stop.load(Ordering::Relaxed) {
                std::thread::sleep(self.delay / PIECES);
            }
        }
        match self.faults.get(&window) {
            Some(Fault::Panic) => panic!("the mock model panics, as it was told to"),
            Some(_) => return Err(EngineError::Device("broken".to_owned())),
            None => {}
        }
        let MockSession { input, at } = session;
        let end = input.samples.len().min((*at + 1) * WINDOW);
        let letter = Self::letter(&input.samples[(*at * WINDOW).min(end)..end]);
        let mut said = vec![' ', letter];
        if *at == 0 {
            // What it was told shows.
            said.extend(input.prompt.iter().filter_map(|token| char::from_u32(*token)));
            said.extend((input.task == SpeechTask::Translate).then_some('!'));
            said.extend((input.temperature > 0.0).then_some('?'));
        }
        let text = said.into_iter().map(|letter| letter as TokenId);
        let tokens: Vec<TokenId> = [257].into_iter().chain(text).chain([258]).collect();
        let start = *at as f64;
        // A tenth of a second each.
        let tenth = |i: usize| start + i as f64 / 10.0;
        let times = (0..tokens.len()).map(|i| [tenth(i), tenth(i + 1)]);
        let segment = Segment {
            seek: *at * 100,
            start,
            end: end as f64 / WINDOW as f64,
            token_times: times.filter(|_| input.token_times).collect(),
            tokens,
            temperature: input.temperature,
            avg_logprob: -0.25,
            compression_ratio: 0.5,
            no_speech_prob: 0.125,
        };
        *at += 1;
        let is_last = *at * WINDOW >= input.samples.len();
        let found = self.info.languages.first().cloned().unwrap_or_else(|| "en".to_owned());
        let language = input.language.clone().unwrap_or(found);
        Ok(SpeechStep { segments: vec![segment], language, is_last })
    }
}
