//! Finds spans in a text that comes in pieces, and masks them or stops at them.
//!
//! Invariant: what begins at a place is decided only when nothing that may follow can change it,
//! and then at once; so pieces make no difference, and all before an open place has gone out.

use std::sync::Arc;

use crate::json::{Place, escape_len};
use crate::{Action, Edit, Step, Stop, Watch};

/// What begins at a place.
pub(crate) enum Found {
    /// Nothing, whatever follows.
    Nothing,
    /// What follows decides.
    Open,
    /// So many bytes.
    Match(Span),
}

/// What was found.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) num_bytes: usize,
    pub(crate) category: &'static str,
    pub(crate) mask: &'static str,
}

/// Says what begins at a place.
pub(crate) trait Find: Send + Sync {
    /// What `rest` begins with, after these two characters. Never [`Found::Open`] where `rest` is
    /// longer than [`MAX_HELD_BYTES`](crate::MAX_HELD_BYTES), or at the end.
    fn find(&self, before: Before, rest: &str, is_end: bool) -> Found;
}

/// The last two characters before a place.
#[derive(Clone, Copy, Default)]
pub(crate) struct Before {
    pub(crate) last: Option<char>,
    pub(crate) second_last: Option<char>,
}

/// Follows one text.
pub(crate) struct Scan<F> {
    finder: Arc<F>,
    action: Action,
    held: String,
    before: Before,
    place: Place,
    /// Characters that were decided on.
    num_chars: usize,
    stop: Option<Stop>,
}

impl<F: Find> Scan<F> {
    pub(crate) fn new(finder: Arc<F>, action: Action) -> Self {
        Self {
            finder,
            action,
            held: String::new(),
            before: Before::default(),
            place: Place::default(),
            num_chars: 0,
            stop: None,
        }
    }

    /// Decides on as much as can be.
    fn advance(&mut self, is_end: bool) -> Step {
        let held = std::mem::take(&mut self.held);
        let mut step = Step::default();
        // What was decided on, and what of it was copied out.
        let (mut at, mut copied) = (0, 0);
        while let Some(c) = held[at..].chars().next() {
            if c == '\\' && self.place.in_string() {
                let Some(len) = escape_len(&held[at..], is_end) else { break };
                self.num_chars += held[at..at + len].chars().count();
                self.before = Before::default();
                at += len;
                continue;
            }
            match self.finder.find(self.before, &held[at..], is_end) {
                Found::Nothing => {
                    self.pass(c);
                    at += c.len_utf8();
                }
                Found::Open => break,
                Found::Match(Span { category, .. }) if self.action == Action::Stop => {
                    self.stop = Some(Stop { category });
                    break;
                }
                Found::Match(Span { num_bytes, mask, .. }) => {
                    let found = &held[at..at + num_bytes];
                    let (start, mask) = (self.num_chars, self.place.mask(found, mask));
                    found.chars().for_each(|c| self.pass(c));
                    let end = self.num_chars;
                    step.edits.push(Edit { start, end, new_len: mask.len() });
                    step.text += &held[copied..at];
                    step.text += mask;
                    at += num_bytes;
                    copied = at;
                }
            }
        }
        step.text += &held[copied..at];
        step.stop = self.stop;
        if self.stop.is_none() {
            self.held.push_str(&held[at..]);
        }
        step
    }

    fn pass(&mut self, c: char) {
        self.place.advance(c);
        self.before = Before { last: Some(c), second_last: self.before.last };
        self.num_chars += 1;
    }
}

impl<F: Find> Watch for Scan<F> {
    fn push(&mut self, text: &str) -> Step {
        if self.stop.is_some() {
            return Step { stop: self.stop, ..Step::default() };
        }
        self.held.push_str(text);
        self.advance(false)
    }

    fn finish(&mut self) -> Step {
        self.advance(true)
    }
}
