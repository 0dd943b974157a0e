//! The parser within a call.

use super::Part;
use super::call::Step;
use super::family::Family;
use super::json::ValueEnd;
use super::parser::{AnswerParser, State};
use super::pieces::find;

/// A name longer than this is none.
const MAX_NAME_BYTES: usize = 256;

impl AnswerParser {
    pub(super) fn object(&mut self, parts: &mut Vec<Part>) -> bool {
        let State::Object { call, raw, in_array } = &mut self.state else { return false };
        let had_name = call.has_name();
        let mut step = Step::On;
        let (mut last, mut at) = (0, 0);
        for (i, c) in self.buffer.char_indices() {
            (last, at) = (i, i + c.len_utf8());
            if !call.has_name() {
                raw.push(c);
            }
            step = call.push(c, parts);
            if step != Step::On {
                break;
            }
        }
        let (has_name, in_array) = (call.has_name(), *in_array);
        if has_name && !had_name {
            self.space.clear();
            (self.has_begun, self.has_calls) = (true, true);
        }
        match step {
            Step::On => {
                self.buffer.drain(..at);
                false
            }
            Step::End => {
                self.buffer.drain(..at);
                let several = in_array || self.family == Family::Json;
                self.state =
                    if several { State::BetweenObjects { in_array } } else { State::Content };
                true
            }
            Step::Broken if has_name => {
                // What the call is worth is the client's to say; what comes now is text.
                self.buffer.drain(..last);
                self.state = State::Content;
                true
            }
            Step::Broken => {
                let raw = std::mem::take(raw);
                self.buffer.drain(..at);
                self.state = State::Content;
                self.say(&raw, parts);
                true
            }
        }
    }

    pub(super) fn name(&mut self, parts: &mut Vec<Part>, is_end: bool) -> bool {
        let State::Name { ends, raw } = &mut self.state else { return false };
        let ends = *ends;
        let found = find(&self.buffer, ends);
        if found.which.is_none() && found.at <= MAX_NAME_BYTES && !is_end {
            return false;
        }
        let Some(which) = found.which.filter(|_| found.at <= MAX_NAME_BYTES) else {
            let raw = std::mem::take(raw) + &std::mem::take(&mut self.buffer);
            self.state = State::Content;
            self.say(&raw, parts);
            return false;
        };
        let name = self.buffer[..found.at].trim().to_owned();
        let end = found.at + ends[which].len();
        if self.family != Family::DeepSeek {
            // The brace is the arguments' first.
            let end = if ends[which] == "{" { found.at } else { end };
            self.buffer.drain(..end);
            self.begin_call(name, parts);
            self.state = State::Arguments { value: ValueEnd::default() };
            return true;
        }
        // DeepSeek V3: the name follows, then a block of code; V3.1: this was the name.
        if name != "function" {
            self.buffer.drain(..end);
            self.begin_call(name, parts);
            self.state = State::Arguments { value: ValueEnd::default() };
            return true;
        }
        let Some((name, rest)) = self.buffer[end..].split_once("```json") else { return false };
        let (name, rest) = (name.trim().to_owned(), rest.to_owned());
        self.buffer = rest;
        self.begin_call(name, parts);
        self.state = State::Arguments { value: ValueEnd::default() };
        true
    }
}
