//! Calls whose name and arguments stand between tags, each argument by itself:
//! `<function=NAME><parameter=KEY>VALUE</parameter></function>` and the like.
//!
//! Values are texts as they stand; they become JSON by what the tool says of them.

use serde_json::Value;

use super::Part;
use super::call::push_arguments;
use super::parser::{AnswerParser, State};
use super::pieces::find;

/// A name or a key longer than this is none.
const MAX_NAME_BYTES: usize = 256;

/// The tags of one family.
#[derive(Debug)]
pub(super) struct Tags {
    /// What begins a call.
    pub(super) begin: &'static str,
    /// What may end the name. What is a tag of its own is not taken.
    pub(super) name_ends: &'static [&'static str],
    pub(super) key: &'static str,
    pub(super) key_end: &'static str,
    /// What begins the value, if it is not the key's end.
    pub(super) value: Option<&'static str>,
    pub(super) value_end: &'static str,
    pub(super) call_end: &'static str,
}

/// Follows one call.
#[derive(Clone, Debug)]
pub(super) struct Tagged {
    phase: Phase,
    /// The call's mark and what came of its name: text, if it is none.
    raw: String,
    tool: String,
    key: String,
    value: String,
    has_arguments: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before the call's own mark.
    Wrapped,
    Name,
    /// Before a key, or the end of the call.
    Between,
    Key,
    /// Before a value.
    Open,
    Value,
}

impl Tagged {
    /// After this mark: the call's own, or one that only calls follow.
    pub(super) fn new(mark: &str, is_own: bool) -> Self {
        let (tool, key, value) = (String::new(), String::new(), String::new());
        let phase = if is_own { Phase::Name } else { Phase::Wrapped };
        Self { phase, raw: mark.to_owned(), tool, key, value, has_arguments: false }
    }

    /// What is text if no more comes; none once it is a call.
    pub(super) fn into_raw(self) -> Option<String> {
        matches!(self.phase, Phase::Wrapped | Phase::Name).then_some(self.raw)
    }
}

impl AnswerParser {
    /// A call between tags, as far as it has come.
    pub(super) fn tagged(&mut self, parts: &mut Vec<Part>, is_end: bool) -> bool {
        let Some(tags) = self.family.tags() else { return false };
        let State::Tagged { call } = &mut self.state else { return false };
        match call.phase {
            Phase::Wrapped => self.tagged_begin(tags, parts, is_end),
            Phase::Name => self.tagged_name(tags, parts, is_end),
            Phase::Between => {
                let found = find(&self.buffer, &[tags.key, tags.call_end]);
                self.buffer.drain(..found.at);
                match found.which {
                    None => return false,
                    Some(0) => {
                        self.buffer.drain(..tags.key.len());
                        call.key.clear();
                        call.phase = Phase::Key;
                    }
                    Some(_) => {
                        self.buffer.drain(..tags.call_end.len());
                        let end = if call.has_arguments { "}" } else { "{}" };
                        push_arguments(parts, end.to_owned());
                        self.after_call = true;
                        self.state = State::Content;
                    }
                }
                true
            }
            Phase::Key => {
                let is_whole = take(&mut self.buffer, &mut call.key, tags.key_end);
                call.key.truncate(call.key.floor_char_boundary(MAX_NAME_BYTES));
                call.value.clear();
                if is_whole {
                    call.phase = if tags.value.is_some() { Phase::Open } else { Phase::Value };
                }
                is_whole
            }
            Phase::Open => {
                let is_open = take(&mut self.buffer, &mut String::new(), tags.value.unwrap_or(""));
                call.phase = if is_open { Phase::Value } else { Phase::Open };
                is_open
            }
            Phase::Value => {
                let is_whole = take(&mut self.buffer, &mut call.value, tags.value_end);
                if is_whole {
                    call.phase = Phase::Between;
                    let begin = if call.has_arguments { ", " } else { "{" };
                    call.has_arguments = true;
                    let key = Value::from(call.key.trim());
                    let is_text = |(tool, name): &(String, String)| {
                        *tool == call.tool && *name == call.key.trim()
                    };
                    let is_text =
                        self.texts.as_ref().is_some_and(|texts| texts.iter().any(is_text));
                    let value = json(&call.value, is_text);
                    push_arguments(parts, format!("{begin}{key}: {value}"));
                }
                is_whole
            }
        }
    }

    /// After a tag around calls: the call's own tag, or text.
    fn tagged_begin(&mut self, tags: &Tags, parts: &mut Vec<Part>, is_end: bool) -> bool {
        let State::Tagged { call } = &mut self.state else { return false };
        let rest = self.buffer.trim_start();
        let at = self.buffer.len() - rest.len();
        if rest.starts_with(tags.begin) {
            call.raw.extend(self.buffer.drain(..at + tags.begin.len()));
            call.phase = Phase::Name;
        } else if tags.begin.starts_with(rest) && !is_end {
            return false;
        } else {
            let raw = std::mem::take(&mut call.raw);
            self.state = State::Content;
            self.say(&raw, parts);
        }
        true
    }

    fn tagged_name(&mut self, tags: &Tags, parts: &mut Vec<Part>, is_end: bool) -> bool {
        let State::Tagged { call } = &mut self.state else { return false };
        let found = find(&self.buffer, tags.name_ends);
        if found.which.is_none() && found.at <= MAX_NAME_BYTES && !is_end {
            return false;
        }
        let name = self.buffer[..found.at].trim().to_owned();
        let is_known = match &self.names {
            Some(names) => names.contains(&name),
            None => !name.is_empty() && name.len() <= MAX_NAME_BYTES,
        };
        let Some(which) = found.which.filter(|_| is_known) else {
            let raw = std::mem::take(&mut call.raw);
            self.state = State::Content;
            self.say(&raw, parts);
            return true;
        };
        // A tag that ends the name may begin what follows.
        let end = tags.name_ends[which];
        let is_own = end != tags.key && end != tags.call_end;
        self.buffer.drain(..found.at + if is_own { end.len() } else { 0 });
        (call.phase, call.tool) = (Phase::Between, name.clone());
        self.begin_call(name, parts);
        true
    }
}

/// Moves what surely comes before `end` to `to`; whether the end was there, which goes.
fn take(buffer: &mut String, to: &mut String, end: &str) -> bool {
    let found = find(buffer, &[end]);
    to.extend(buffer.drain(..found.at));
    if found.which.is_some() {
        buffer.drain(..end.len());
    }
    found.which.is_some()
}

/// A value as JSON: as it stands if it is JSON, unless it `is_text`.
fn json(value: &str, is_text: bool) -> String {
    // The line breaks beside the tags are the form's.
    let value = value.strip_prefix('\n').unwrap_or(value);
    let value = value.strip_suffix('\n').unwrap_or(value);
    let text = || Value::from(value).to_string();
    match value.trim() {
        _ if is_text => text(),
        "True" => "true".to_owned(),
        "False" => "false".to_owned(),
        "None" => "null".to_owned(),
        trimmed => match serde_json::from_str::<serde::de::IgnoredAny>(trimmed) {
            Ok(_) => trimmed.to_owned(),
            Err(_) => text(),
        },
    }
}
