//! A call written as one JSON object: `{"name": …, "arguments": {…}}`.

use serde_json::Value;

use super::Part;
use super::json::{Place, ValueEnd};

/// Follows one object. Arguments go out as they come, once the name is known.
#[derive(Clone, Debug, Default)]
pub(super) struct ObjectCall {
    expect: Expect,
    key: String,
    value: ValueEnd,
    /// The text of the value, as long as it cannot go out.
    held: String,
    name: Option<String>,
    has_arguments: bool,
    /// Arguments that came before the name.
    early: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expect {
    #[default]
    Open,
    KeyOrEnd,
    Key,
    Colon,
    Value,
    CommaOrEnd,
}

/// Whether the object goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    On,
    /// The character was the object's last.
    End,
    /// This is no call.
    Broken,
}

impl ObjectCall {
    /// Whether the tool is known: from here on it is a call, well-formed or not.
    pub(super) fn has_name(&self) -> bool {
        self.name.is_some()
    }

    /// The tool, once it is known.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Takes in one character; `parts` gets what it completes.
    pub(super) fn push(&mut self, c: char, parts: &mut Vec<Part>) -> Step {
        match self.expect {
            Expect::Value => return self.push_value(c, parts),
            Expect::Key => match self.value.push(c) {
                Place::Last => {
                    self.held.push(c);
                    self.key = text(&self.held).unwrap_or_default();
                    self.expect = Expect::Colon;
                }
                _ => self.held.push(c),
            },
            _ if c.is_whitespace() => {}
            Expect::Open if c == '{' => self.expect = Expect::KeyOrEnd,
            Expect::KeyOrEnd | Expect::CommaOrEnd if c == '}' => return self.end(parts),
            Expect::CommaOrEnd if c == ',' => self.expect = Expect::KeyOrEnd,
            Expect::KeyOrEnd if c == '"' => {
                self.begin_value(Expect::Key);
                self.value.push(c);
                self.held.push(c);
            }
            Expect::Colon if c == ':' => self.begin_value(Expect::Value),
            _ => return Step::Broken,
        }
        Step::On
    }

    fn begin_value(&mut self, expect: Expect) {
        self.expect = expect;
        self.value = ValueEnd::default();
        self.held.clear();
    }

    fn push_value(&mut self, c: char, parts: &mut Vec<Part>) -> Step {
        let place = self.value.push(c);
        if matches!(place, Place::Within | Place::Last) {
            self.held.push(c);
        }
        let is_arguments = self.is_arguments();
        // A string of arguments is JSON in JSON: it is read when it is whole.
        if is_arguments && self.has_name() && !self.value.is_text() && !self.held.is_empty() {
            self.has_arguments = true;
            push_arguments(parts, std::mem::take(&mut self.held));
        }
        match place {
            Place::Before | Place::Within => Step::On,
            Place::Last => {
                self.end_value(parts);
                Step::On
            }
            Place::After => {
                self.end_value(parts);
                self.push(c, parts)
            }
        }
    }

    fn is_arguments(&self) -> bool {
        matches!(self.key.as_str(), "arguments" | "parameters")
    }

    fn end_value(&mut self, parts: &mut Vec<Part>) {
        self.expect = Expect::CommaOrEnd;
        if matches!(self.key.as_str(), "name" | "function" | "tool_name") && !self.has_name() {
            self.name = text(&self.held);
            if let Some(name) = &self.name {
                parts.push(Part::Call { name: name.clone() });
                if let Some(early) = self.early.take() {
                    self.has_arguments = true;
                    push_arguments(parts, early);
                }
            }
        } else if self.is_arguments() && !self.has_arguments && !self.held.is_empty() {
            let arguments = text(&self.held).unwrap_or_else(|| self.held.clone());
            if self.has_name() {
                self.has_arguments = true;
                push_arguments(parts, arguments);
            } else {
                self.early = Some(arguments);
            }
        }
        self.held.clear();
    }

    /// The text ended within it.
    pub(super) fn cut(self, parts: &mut Vec<Part>) {
        if self.expect == Expect::Value && self.is_arguments() && !self.held.is_empty() {
            push_arguments(parts, self.held);
        }
    }

    fn end(&mut self, parts: &mut Vec<Part>) -> Step {
        if !self.has_name() {
            return Step::Broken;
        }
        if !self.has_arguments {
            push_arguments(parts, "{}".to_owned());
        }
        Step::End
    }
}

/// Appends to the last piece of arguments, if that is the last part.
pub(super) fn push_arguments(parts: &mut Vec<Part>, more: String) {
    match parts.last_mut() {
        Some(Part::Arguments(arguments)) => *arguments += &more,
        _ if more.is_empty() => {}
        _ => parts.push(Part::Arguments(more)),
    }
}

/// The text of a JSON string.
fn text(json: &str) -> Option<String> {
    match serde_json::from_str(json) {
        Ok(Value::String(text)) => Some(text),
        _ => None,
    }
}
