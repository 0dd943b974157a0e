//! Checks of texts, before a model reads them and after it wrote them: whether they pass, are
//! rewritten or stop the request.
//!
//! Invariant: what a guard makes of a text does not depend on how the text was cut into pieces, and
//! a watch holds back at most [`MAX_HELD_BYTES`]. What the built-in guards write in place of what
//! they found leaves JSON well-formed.

mod deny;
mod fold;
mod json;
mod pii;
mod scan;
mod words;

use std::sync::Arc;

pub use deny::{DenyError, DenyList, MAX_FILE_BYTES, MAX_PHRASE_BYTES, MAX_PHRASES};
pub use pii::{Pii, PiiKind};

/// The longest that the built-in guards find; what is longer passes.
pub const MAX_MATCH_BYTES: usize = 1 << 10;
/// The most that a built-in guard holds back: the beginning of what it may find, and two
/// characters that decide whether that ends there.
pub const MAX_HELD_BYTES: usize = MAX_MATCH_BYTES + 8;

/// What a built-in guard does about what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Writes a word such as `[EMAIL]` in its place.
    Mask,
    /// Ends the request.
    Stop,
}

/// A check over texts.
pub trait Guard: Send + Sync {
    /// One of a fixed set of words: a label of metrics, and what clients are told.
    fn name(&self) -> &'static str;

    /// Begins to follow a text that comes in pieces.
    fn watch(&self) -> Box<dyn Watch>;

    /// Checks a text at once.
    fn check(&self, text: &str) -> Verdict {
        let mut watch = self.watch();
        let mut step = watch.push(text);
        if step.stop.is_none() {
            step.then(watch.finish());
        }
        match step.stop {
            Some(stop) => Verdict::Stop(stop),
            None if step.edits.is_empty() => Verdict::Pass,
            None => Verdict::Rewrite { text: step.text, num_edits: step.edits.len() },
        }
    }
}

/// Follows one text.
pub trait Watch: Send {
    /// Takes the next piece in; after a stop there is none.
    fn push(&mut self, text: &str) -> Step;

    /// The text ended: gives out what was held back.
    fn finish(&mut self) -> Step;
}

/// What is to be done about a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Pass,
    /// This stands in its place.
    Rewrite {
        /// The new text.
        text: String,
        /// In how many places it differs.
        num_edits: usize,
    },
    /// The request ends.
    Stop(Stop),
}

/// Why a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What was found, as one of a fixed set of words.
    pub category: &'static str,
}

/// What became known of a text with its latest piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Text that may go out.
    pub text: String,
    /// What was rewritten in it, in order.
    pub edits: Vec<Edit>,
    /// Why nothing may go out after it.
    pub stop: Option<Stop>,
}

impl Step {
    /// The same with what came next.
    pub fn then(&mut self, next: Self) {
        self.text += &next.text;
        self.edits.extend(next.edits);
        self.stop = next.stop;
    }
}

/// A place that was rewritten, in characters of the watched text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The first character.
    pub start: usize,
    /// The character after the last.
    pub end: usize,
    /// How many stand in their place.
    pub new_len: usize,
}

/// The guards of a server; each list is gone through in order.
#[derive(Clone, Default)]
pub struct Guards {
    /// Of what models are told.
    pub input: Vec<Arc<dyn Guard>>,
    /// Of what they say.
    pub output: Vec<Arc<dyn Guard>>,
}
