//! The parser within a call.

use super::Part;
use super::call::{Step, push_arguments};
use super::family::Family;
use super::json::{Place, ValueEnd};
use super::parser::{AnswerParser, MAX_HEADER_BYTES, State, object};
use super::pieces::find;

/// A name longer than this is none.
const MAX_NAME_BYTES: usize = 256;

impl AnswerParser {
    pub(super) fn object(&mut self, parts: &mut Vec<Part>) -> bool {
        let State::Object { call, raw, in_array } = &mut self.state else { return false };
        let (had_name, num_parts, mut is_call) = (call.has_name(), parts.len(), true);
        let mut step = Step::On;
        let (mut last, mut at) = (0, 0);
        for (i, c) in self.buffer.char_indices() {
            (last, at) = (i, i + c.len_utf8());
            if !call.has_name() {
                raw.push(c);
            }
            step = call.push(c, parts);
            let is_known = |name| match (self.family, &self.names) {
                (Family::Json, Some(names)) => names.iter().any(|known| known == name),
                _ => true,
            };
            if !had_name && !call.name().is_none_or(is_known) {
                parts.truncate(num_parts);
                (step, is_call) = (Step::Broken, false);
            }
            if step != Step::On {
                break;
            }
        }
        let (has_name, in_array) = (call.has_name() && is_call, *in_array);
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
                self.after_call = true;
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
        let is_end = is_end && !self.drops_cut_calls();
        let State::Name { ends, raw } = &mut self.state else { return false };
        let ends = *ends;
        let found = find(&self.buffer, ends);
        if found.which.is_none() && found.at <= MAX_NAME_BYTES && !is_end {
            return false;
        }
        let is_name = found.at <= MAX_NAME_BYTES && !self.buffer[..found.at].trim().is_empty();
        let Some(which) = found.which.filter(|_| is_name) else {
            // What is no name is text, and so is its mark; calls may follow.
            let raw = std::mem::take(raw);
            self.state = State::Content;
            self.say(&raw, parts);
            return true;
        };
        let name = self.buffer[..found.at].split("[CALL_ID]").next().unwrap_or_default().trim();
        let name = match self.family {
            // `functions.NAME:3`
            Family::Kimi => {
                let name = name.strip_prefix("functions.").unwrap_or(name);
                name.rsplit_once(':').map_or(name, |(name, _)| name).to_owned()
            }
            _ => name.to_owned(),
        };
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

    /// What comes after an object: another one, or the end of the calls.
    pub(super) fn between_objects(&mut self) -> bool {
        let State::BetweenObjects { in_array } = &mut self.state else { return false };
        let in_array = *in_array;
        let skipped = |c: char| c.is_whitespace() || c == if in_array { ',' } else { ';' };
        let rest = self.buffer.trim_start_matches(skipped);
        self.buffer.drain(..self.buffer.len() - rest.len());
        match self.buffer.chars().next() {
            None => return false,
            Some('{') => self.state = object(String::new(), in_array),
            Some(']') if in_array => {
                self.buffer.drain(..1);
                self.state = State::Content;
            }
            Some(_) => self.state = State::Content,
        }
        true
    }

    /// An array of objects, or a name.
    pub(super) fn calls(&mut self, parts: &mut Vec<Part>) -> bool {
        let State::Calls { raw } = &mut self.state else { return false };
        let rest = self.buffer.trim_start();
        match rest.chars().next() {
            None => return false,
            Some('[') => {
                let at = self.buffer.len() - rest.len() + 1;
                self.buffer.drain(..at);
                self.state = State::BetweenObjects { in_array: true };
            }
            Some('{') if self.family != Family::Mistral => {
                self.state = object(std::mem::take(raw), false);
            }
            Some(_) if self.family != Family::Mistral => {
                let raw = std::mem::take(raw);
                self.state = State::Content;
                self.say(&raw, parts);
            }
            Some(_) => {
                let raw = std::mem::take(raw);
                self.state = State::Name { ends: &["[ARGS]", "{"], raw };
            }
        }
        true
    }

    /// Arguments that stand by themselves.
    pub(super) fn arguments(&mut self, parts: &mut Vec<Part>) -> bool {
        let State::Arguments { value } = &mut self.state else { return false };
        let mut at = self.buffer.len();
        let mut ended = false;
        let mut text = String::new();
        for (i, c) in self.buffer.char_indices() {
            match value.push(c) {
                Place::Before => {}
                Place::Within => text.push(c),
                Place::Last => {
                    text.push(c);
                    (at, ended) = (i + c.len_utf8(), true);
                    break;
                }
                Place::After => {
                    (at, ended) = (i, true);
                    break;
                }
            }
        }
        push_arguments(parts, text);
        self.buffer.drain(..at);
        if ended {
            self.after_call = true;
            self.state = match self.family {
                // A block of code may end here.
                Family::DeepSeek => State::Skip { to: "<｜tool▁call▁end｜>" },
                _ => State::Content,
            };
        }
        ended
    }

    /// A channel's header, once it is whole.
    pub(super) fn channel(&mut self, parts: &mut Vec<Part>) -> bool {
        let Some((header, rest)) = self.buffer.split_once("<|message|>") else {
            // No header is so long.
            let is_text = self.buffer.len() > MAX_HEADER_BYTES;
            if is_text {
                self.state = State::Content;
            }
            return is_text;
        };
        let (header, rest) = (header.trim().to_owned(), rest.to_owned());
        self.buffer = rest;
        let tool = header
            .split_once("to=functions.")
            .map(|(_, name)| name.split_whitespace().next().unwrap_or_default().to_owned());
        self.state = match tool.filter(|name| !name.is_empty() && self.may_call()) {
            Some(name) => {
                self.begin_call(name, parts);
                State::Arguments { value: ValueEnd::default() }
            }
            None if header.starts_with("analysis") => State::Reasoning,
            None => State::Content,
        };
        true
    }
}
