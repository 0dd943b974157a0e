//! Which tokens mean what: marks of the task and of languages, times, and what is not to be said.
//!
//! Invariant: every id is one of the model's; text comes before marks, and times are last.

use std::collections::BTreeMap;

use engine_core::TokenId;
use engine_weights::{Fault, config::Config};
use serde::Deserialize;

/// Far above any list known.
const MAX_TOKENS_LISTED: usize = 1 << 16;
const MAX_LANGUAGES: usize = 1 << 10;

/// What `generation_config.json` says, or else `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    /// What every transcript begins with.
    pub start: TokenId,
    /// What it ends with; what comes before it in the vocabulary is text.
    pub end: TokenId,
    /// Marks a text that came before.
    pub previous: TokenId,
    /// Its probability is that nothing is said.
    pub no_speech: TokenId,
    /// Says that no times are wanted.
    pub no_times: TokenId,
    /// 0 seconds; a fiftieth of a second more with each token.
    pub first_time: TokenId,
    /// The mark of the task that writes down what is said, ...
    pub transcribe: TokenId,
    /// ... and of the one that translates it.
    pub translate: TokenId,
    /// Marks of languages by their codes; none if the model knows English alone.
    pub languages: BTreeMap<String, TokenId>,
    /// Never said.
    pub suppress: Vec<TokenId>,
    /// Never said first.
    pub begin_suppress: Vec<TokenId>,
    /// The latest time of a window's first token, in its units.
    pub max_first_time: Option<u32>,
}

/// Where a field is looked for.
struct Sources<'a>([Config<'a>; 2]);

impl<'a> Sources<'a> {
    fn get<T: Deserialize<'a>>(&self, key: &str) -> Result<Option<T>, Fault> {
        for config in self.0 {
            if let Some(value) = config.get(key)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn require<T: Deserialize<'a>>(&self, key: &str) -> Result<T, Fault> {
        self.get(key)?.ok_or_else(|| Fault::field(key, "is missing"))
    }
}

impl Vocabulary {
    /// Reads both files' fields.
    pub(crate) fn read(
        generation: &Config<'_>,
        config: &Config<'_>,
        vocab_size: usize,
    ) -> Result<Self, Fault> {
        let from = Sources([*generation, *config]);
        let no_times: TokenId = from.require("no_timestamps_token_id")?;
        let before = |by: TokenId| no_times.saturating_sub(by);
        let languages: BTreeMap<String, TokenId> = from.get("lang_to_id")?.unwrap_or_default();
        let tasks: BTreeMap<String, TokenId> = from.get("task_to_id")?.unwrap_or_default();
        let is_multilingual: Option<bool> = from.get("is_multilingual")?;
        if languages.len() > MAX_LANGUAGES {
            let what = format!("{} languages; {MAX_LANGUAGES} are read", languages.len());
            return Err(Fault::field("lang_to_id", what));
        }
        let languages = languages.into_iter().map(|(name, id)| {
            let code = name.strip_prefix("<|").and_then(|name| name.strip_suffix("|>"));
            (code.unwrap_or(&name).to_owned(), id)
        });
        let all = Self {
            start: from.require("decoder_start_token_id")?,
            end: from.require("eos_token_id")?,
            // In all of Whisper's vocabularies these stand so before it.
            previous: from.get("prev_sot_token_id")?.unwrap_or(before(2)),
            no_speech: before(1),
            no_times,
            first_time: no_times.saturating_add(1),
            transcribe: tasks.get("transcribe").copied().unwrap_or(before(4)),
            translate: tasks.get("translate").copied().unwrap_or(before(5)),
            languages: languages.filter(|_| is_multilingual != Some(false)).collect(),
            suppress: from.get("suppress_tokens")?.unwrap_or_default(),
            begin_suppress: from.get("begin_suppress_tokens")?.unwrap_or_default(),
            max_first_time: from.get("max_initial_timestamp_index")?,
        };
        all.check(vocab_size)?;
        Ok(all)
    }

    fn check(&self, vocab_size: usize) -> Result<(), Fault> {
        let marks = [
            ("decoder_start_token_id", self.start),
            ("eos_token_id", self.end),
            ("prev_sot_token_id", self.previous),
            ("no_timestamps_token_id", self.first_time),
            ("task_to_id", self.transcribe),
            ("task_to_id", self.translate),
        ];
        let languages = self.languages.values().map(|id| ("lang_to_id", *id));
        let suppressed = self.suppress.iter().map(|id| ("suppress_tokens", *id));
        let at_begin = self.begin_suppress.iter().map(|id| ("begin_suppress_tokens", *id));
        if self.suppress.len().max(self.begin_suppress.len()) > MAX_TOKENS_LISTED {
            return Err(Fault::field("suppress_tokens", "is too long"));
        }
        for (field, id) in marks.into_iter().chain(languages).chain(suppressed).chain(at_begin) {
            if id as usize >= vocab_size {
                let what = format!("token {id} is outside the vocabulary of {vocab_size}");
                return Err(Fault::field(field, what));
            }
        }
        // Text, then marks, then times: the rules of times rely on it.
        if self.end >= self.first_time || self.start >= self.first_time {
            let what = format!("{} is not below the times, from {}", self.end, self.first_time);
            return Err(Fault::field("eos_token_id", what));
        }
        if self.is_time(self.end) || self.no_times == 0 {
            return Err(Fault::field("no_timestamps_token_id", "leaves no room for marks"));
        }
        Ok(())
    }

    /// Whether a token is a time.
    pub(crate) fn is_time(&self, token: TokenId) -> bool {
        token >= self.first_time
    }
}
