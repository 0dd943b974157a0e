//! Calls written as Python: `[name(key="value", other=[1, True])]`.

use serde_json::{Map, Value};

use super::Part;
use super::parser::{AnswerParser, State};

/// Lists within lists, at most.
const MAX_DEPTH: usize = 64;
/// A name longer than this is none.
const MAX_NAME_BYTES: usize = 256;

/// Follows a list of calls; each goes out when it is whole.
#[derive(Clone, Debug, Default)]
pub(super) struct PythonCalls {
    place: Place,
    /// What came since the last whole call: it is text if it is no call.
    raw: String,
    name: String,
    arguments: String,
    /// Open brackets within the arguments.
    depth: usize,
    /// The quote that a string within them ends with.
    quote: Option<char>,
    escaped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Open,
    /// Before a name.
    Name,
    Arguments,
    /// After a call.
    After,
}

/// What a character did.
enum Step {
    On,
    Call(String, String),
    End,
    Broken,
}

impl PythonCalls {
    /// After this mark, if there was one.
    pub(super) fn new(mark: &str) -> Self {
        Self { raw: mark.to_owned(), ..Self::default() }
    }

    /// What is text if no more comes.
    pub(super) fn into_raw(self) -> String {
        self.raw
    }

    fn push(&mut self, c: char) -> Step {
        self.raw.push(c);
        match self.place {
            Place::Open | Place::Name | Place::After
                if c.is_whitespace() && self.name.is_empty() => {}
            Place::Open if c == '[' => self.place = Place::Name,
            Place::Name if c == '(' && !self.name.is_empty() => self.place = Place::Arguments,
            Place::Name if is_name(c) && self.name.len() < MAX_NAME_BYTES => self.name.push(c),
            Place::After if c == ',' => self.place = Place::Name,
            Place::After if c == ']' => return Step::End,
            Place::Arguments => return self.push_argument(c),
            _ => return Step::Broken,
        }
        Step::On
    }

    fn push_argument(&mut self, c: char) -> Step {
        match (self.quote, c) {
            (Some(_), _) if self.escaped => self.escaped = false,
            (Some(_), '\\') => self.escaped = true,
            (Some(quote), c) if c == quote => self.quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => self.quote = Some(c),
            (None, '(' | '[' | '{') => self.depth += 1,
            (None, ')') if self.depth == 0 => {
                self.place = Place::After;
                let (name, arguments) =
                    (std::mem::take(&mut self.name), std::mem::take(&mut self.arguments));
                return match keywords(&arguments) {
                    Some(arguments) => Step::Call(name, Value::Object(arguments).to_string()),
                    None => Step::Broken,
                };
            }
            (None, ')' | ']' | '}') => match self.depth.checked_sub(1) {
                Some(depth) => self.depth = depth,
                None => return Step::Broken,
            },
            (None, _) => {}
        }
        self.arguments.push(c);
        Step::On
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-')
}

impl AnswerParser {
    /// A list of calls, as far as it has come.
    pub(super) fn python(&mut self, parts: &mut Vec<Part>) -> bool {
        let State::Python { calls } = &mut self.state else { return false };
        let is_known = |name: &String| self.names.as_ref().is_none_or(|names| names.contains(name));
        let mut found = Vec::new();
        let (mut step, mut at) = (Step::On, 0);
        for (i, c) in self.buffer.char_indices() {
            at = i + c.len_utf8();
            step = match calls.push(c) {
                Step::Call(name, arguments) if is_known(&name) => {
                    calls.raw.clear();
                    found.push((name, arguments));
                    Step::On
                }
                Step::Call(..) => Step::Broken,
                step => step,
            };
            if !matches!(step, Step::On) {
                break;
            }
        }
        let raw = std::mem::take(&mut calls.raw);
        if matches!(step, Step::On) {
            calls.raw.clone_from(&raw);
        }
        self.buffer.drain(..at);
        for (name, arguments) in found {
            self.begin_call(name, parts);
            self.after_call = true;
            parts.push(Part::Arguments(arguments));
        }
        match step {
            Step::On | Step::Call(..) => return false,
            Step::End => {}
            Step::Broken => self.say(&raw, parts),
        }
        self.state = State::Content;
        true
    }
}

/// The arguments of a call by their keywords; none if some are no such literals.
fn keywords(text: &str) -> Option<Map<String, Value>> {
    let mut reader = Reader { rest: text };
    let mut arguments = Map::new();
    while !reader.is_at_end() {
        let end = reader.rest.find('=')?;
        let name = reader.rest[..end].trim();
        if name.is_empty() || !name.chars().all(is_name) {
            return None;
        }
        reader.rest = &reader.rest[end + 1..];
        let value = reader.value(0)?;
        arguments.insert(name.to_owned(), value);
        if !reader.take(',') && !reader.is_at_end() {
            return None;
        }
    }
    Some(arguments)
}

/// Reads Python's literals.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn is_at_end(&mut self) -> bool {
        self.rest = self.rest.trim_start();
        self.rest.is_empty()
    }

    fn take(&mut self, c: char) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH || self.is_at_end() {
            return None;
        }
        match self.rest.chars().next()? {
            '"' | '\'' => self.string().map(Value::String),
            '[' => self.items('[', ']', depth).map(Value::Array),
            '(' => self.items('(', ')', depth).map(Value::Array),
            '{' => self.entries(depth).map(Value::Object),
            _ => self.word(),
        }
    }

    fn items(&mut self, open: char, close: char, depth: usize) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        self.take(open);
        while !self.take(close) {
            items.push(self.value(depth + 1)?);
            if !self.take(',') {
                return self.take(close).then_some(items);
            }
        }
        Some(items)
    }

    fn entries(&mut self, depth: usize) -> Option<Map<String, Value>> {
        let mut entries = Map::new();
        self.take('{');
        while !self.take('}') {
            let Value::String(key) = self.value(depth + 1)? else { return None };
            if !self.take(':') {
                return None;
            }
            entries.insert(key, self.value(depth + 1)?);
            if !self.take(',') {
                return self.take('}').then_some(entries);
            }
        }
        Some(entries)
    }

    /// A number or a name of a constant.
    fn word(&mut self) -> Option<Value> {
        let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ')' | ']' | '}' | ':');
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            "None" => Some(Value::Null),
            word => serde_json::from_str(word).ok().filter(|value: &Value| !value.is_string()),
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut chars = self.rest.chars();
        let quote = chars.next()?;
        let mut text = String::new();
        loop {
            match chars.next()? {
                c if c == quote => break,
                '\\' => match chars.next()? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'u' => {
                        let digits: String = chars.by_ref().take(4).collect();
                        text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                    }
                    c @ ('\\' | '\'' | '"' | '\n') => text.push(c),
                    c => text.extend(['\\', c]),
                },
                c => text.push(c),
            }
        }
        self.rest = chars.as_str();
        Some(text)
    }
}
