//! The parser within what is said: where marks begin something else.

use super::Part;
use super::family::{Begins, Family};
use super::parser::{AnswerParser, State, object};
use super::pieces::find;
use super::python::PythonCalls;
use super::tagged::Tagged;

impl AnswerParser {
    /// Says what is surely no mark.
    pub(super) fn content(&mut self, parts: &mut Vec<Part>) -> bool {
        // An answer that is nothing but an object may be a call.
        let is_bare = matches!(self.family, Family::Json | Family::Pythonic);
        if is_bare && self.may_call() && !self.has_begun {
            let rest = self.buffer.trim_start();
            if rest.is_empty() {
                return false;
            }
            let at = self.buffer.len() - rest.len();
            if self.family == Family::Pythonic && rest.starts_with('[') {
                self.state = State::Python { calls: Box::default() };
                return true;
            }
            if self.family == Family::Json && rest.starts_with('{') {
                let raw = self.buffer.drain(..at).collect();
                self.state = object(raw, false);
                return true;
            }
        }
        let marks = self.family.marks();
        let is_watched = |begins: Begins| match begins {
            begins if begins.is_call() => self.may_call(),
            // Later they are quotes.
            Begins::Reasoning => !self.has_begun,
            Begins::Nothing => {
                self.may_call() || matches!(self.family, Family::Harmony | Family::Command)
            }
            Begins::Fence => self.after_call,
            _ => true,
        };
        let watched: Vec<_> = marks.iter().filter(|(_, begins)| is_watched(*begins)).collect();
        let texts: Vec<&str> = watched.iter().map(|(mark, _)| *mark).collect();
        let found = find(&self.buffer, &texts);
        let text: String = self.buffer.drain(..found.at).collect();
        self.say(&text, parts);
        let Some(which) = found.which else { return false };
        let (mark, begins) = *watched[which];
        self.buffer.drain(..mark.len());
        // A quote of what parts answers is text, and so are marks that came too late.
        let is_stray = match begins {
            Begins::Nothing => self.family == Family::Hermes && !self.after_call,
            Begins::Fence => !self.after_call,
            Begins::Reasoning => self.has_begun,
            begins => begins.is_call() && !self.may_call(),
        };
        if is_stray {
            self.say(mark, parts);
            return true;
        }
        self.state = match begins {
            Begins::Nothing | Begins::Fence => State::Content,
            Begins::Reasoning => State::Reasoning,
            Begins::Object => object(mark.to_owned(), false),
            Begins::Calls => State::Calls { raw: mark.to_owned() },
            Begins::DeepSeekCall => {
                State::Name { ends: &["<｜tool▁sep｜>"], raw: mark.to_owned() }
            }
            Begins::KimiCall => {
                State::Name { ends: &["<|tool_call_argument_begin|>"], raw: mark.to_owned() }
            }
            Begins::Python => State::Python { calls: Box::new(PythonCalls::new(mark)) },
            Begins::Tagged => State::Tagged { call: Box::new(Tagged::new(mark, true)) },
            Begins::Wrapped => State::Tagged { call: Box::new(Tagged::new(mark, false)) },
            Begins::Channel => State::Channel,
            Begins::Turn => State::Skip { to: "<|channel|>" },
        };
        true
    }
}
