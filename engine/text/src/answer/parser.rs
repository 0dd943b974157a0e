//! From text as it comes to parts of an answer.

use std::sync::Arc;

use super::Part;
use super::call::ObjectCall;
use super::family::Family;
use super::json::ValueEnd;
use super::pieces::{find, join, push_content, push_reasoning};
use super::python::PythonCalls;
use super::tagged::Tagged;

/// Taken in at once.
const MAX_PIECE_BYTES: usize = 1 << 10;
/// A channel's header is no longer.
pub(super) const MAX_HEADER_BYTES: usize = 1 << 10;

/// Where calls are looked for. Elsewhere their marks are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallsAre {
    /// No tool may be called.
    Nowhere,
    /// Calls and text may take turns.
    Anywhere,
    /// The answer is calls, and no text.
    All,
    /// The answer is calls or, from its beginning, text.
    AllOrNone,
}

/// Follows one answer.
#[derive(Clone, Debug)]
pub struct AnswerParser {
    pub(super) family: Family,
    pub(super) calls: CallsAre,
    /// All tools; where a call looks like any other object, only theirs are calls.
    pub(super) names: Option<Arc<[String]>>,
    /// Tools and those of their parameters that are texts, whatever they look like.
    pub(super) texts: Option<Arc<[(String, String)]>>,
    pub(super) state: State,
    /// Text that was not given out yet.
    pub(super) buffer: String,
    /// Something other than white space was said, or a call begun.
    pub(super) has_begun: bool,
    pub(super) has_calls: bool,
    /// Nothing was said since a call ended.
    pub(super) after_call: bool,
    /// A thought has just ended: line breaks after it are no part of what is said.
    after_thought: bool,
    /// White space that goes out only with what is said after it.
    pub(super) space: String,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    Content,
    Reasoning,
    /// An object, with the text it had so far, mark included: what it is if it is no call.
    Object {
        call: Box<ObjectCall>,
        raw: String,
        in_array: bool,
    },
    /// Between the objects of an array, or between calls that `;` parts.
    BetweenObjects {
        in_array: bool,
    },
    /// After Mistral's mark: an array or a name.
    Calls {
        raw: String,
    },
    /// A name, up to one of these.
    Name {
        ends: &'static [&'static str],
        raw: String,
    },
    /// Arguments that stand by themselves.
    Arguments {
        value: ValueEnd,
    },
    /// Python's calls.
    Python {
        calls: Box<PythonCalls>,
    },
    /// A call between tags.
    Tagged {
        call: Box<Tagged>,
    },
    /// A channel's header.
    Channel,
    /// What is nobody's, up to this mark.
    Skip {
        to: &'static str,
    },
}

impl AnswerParser {
    /// `reasons`: the prompt ended within a thought.
    pub fn new(family: Family, calls: CallsAre, reasons: bool) -> Self {
        let state = if reasons { State::Reasoning } else { State::Content };
        let (buffer, space) = (String::new(), String::new());
        let (has_begun, has_calls, after_call, after_thought) = (false, false, false, reasons);
        Self {
            family,
            calls,
            names: None,
            texts: None,
            state,
            buffer,
            has_begun,
            has_calls,
            after_call,
            after_thought,
            space,
        }
    }

    /// The same for these tools and no others.
    #[must_use]
    pub fn with_names(self, names: Arc<[String]>) -> Self {
        Self { names: Some(names), ..self }
    }

    /// The same, where these tools' parameters are texts: a family that writes values without
    /// quotes does not tell a number from a text of digits.
    #[must_use]
    pub fn with_texts(self, texts: Arc<[(String, String)]>) -> Self {
        Self { texts: Some(texts), ..self }
    }

    /// Takes in the next piece of text.
    pub fn push(&mut self, text: &str) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut rest = text;
        // The buffer stays short, whatever comes at once: it is searched from its beginning.
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.floor_char_boundary(MAX_PIECE_BYTES));
            self.buffer.push_str(piece);
            rest = more;
            while self.advance(&mut parts, false) {}
        }
        join(parts)
    }

    /// The text ended: gives out what was held back.
    pub fn finish(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        while self.advance(&mut parts, true) {}
        let rest = std::mem::take(&mut self.buffer);
        match std::mem::replace(&mut self.state, State::Content) {
            State::Object { call, .. } if call.has_name() => call.cut(&mut parts),
            // A call of which there is too little to tell.
            State::Content
            | State::Object { .. }
            | State::Calls { .. }
            | State::Name { .. }
            | State::Python { .. }
                if self.drops_cut_calls() => {}
            State::Object { .. } if self.calls == CallsAre::AllOrNone => {}
            State::Content => self.say(&rest, &mut parts),
            State::Reasoning => push_reasoning(&rest, &mut parts),
            State::Object { raw, .. } => self.say(&raw, &mut parts),
            State::Calls { raw } | State::Name { raw, .. } => self.say(&(raw + &rest), &mut parts),
            State::Python { calls } => self.say(&calls.into_raw(), &mut parts),
            State::Tagged { call } => {
                if let Some(raw) = call.into_raw().filter(|_| !self.drops_cut_calls()) {
                    self.say(&(raw + &rest), &mut parts);
                }
            }
            State::BetweenObjects { .. } | State::Arguments { .. } | State::Skip { .. } => {}
            State::Channel => self.say(&rest, &mut parts),
        }
        if !self.has_calls && self.calls != CallsAre::All {
            push_content(&std::mem::take(&mut self.space), &mut parts);
        }
        join(parts)
    }

    /// One step through the buffer; false if it needs more text. At the end no text will follow.
    fn advance(&mut self, parts: &mut Vec<Part>, is_end: bool) -> bool {
        if self.buffer.is_empty() {
            return false;
        }
        match &mut self.state {
            State::Content => self.content(parts),
            State::Reasoning => {
                let end = [self.family.reasoning_end()];
                let found = find(&self.buffer, &end);
                let text: String = self.buffer.drain(..found.at).collect();
                push_reasoning(&text, parts);
                if found.which.is_some() {
                    self.buffer.drain(..end[0].len());
                    self.state = State::Content;
                    self.after_thought = true;
                }
                found.which.is_some()
            }
            State::Object { .. } => self.object(parts),
            State::BetweenObjects { .. } => self.between_objects(),
            State::Calls { .. } => self.calls(parts),
            State::Name { .. } => self.name(parts, is_end),
            State::Arguments { .. } => self.arguments(parts),
            State::Python { .. } => self.python(parts),
            State::Tagged { .. } => self.tagged(parts, is_end),
            State::Channel => self.channel(parts),
            State::Skip { to } => {
                let found = find(&self.buffer, &[*to]);
                self.buffer.drain(..found.at);
                if found.which.is_some() {
                    self.state = State::Content;
                }
                found.which.is_some()
            }
        }
    }

    /// Whether a call of which there is too little to tell is no text.
    pub(super) fn drops_cut_calls(&self) -> bool {
        self.calls == CallsAre::All || self.after_call
    }

    /// Whether calls may begin here.
    pub(super) fn may_call(&self) -> bool {
        match self.calls {
            CallsAre::Nowhere => false,
            CallsAre::Anywhere | CallsAre::All => true,
            CallsAre::AllOrNone => self.has_calls || !self.has_begun,
        }
    }

    pub(super) fn begin_call(&mut self, name: String, parts: &mut Vec<Part>) {
        self.space.clear();
        (self.has_begun, self.has_calls) = (true, true);
        parts.push(Part::Call { name });
    }

    /// Says a text; white space at its end waits, as before a call it is nothing.
    pub(super) fn say(&mut self, text: &str, parts: &mut Vec<Part>) {
        let text = if self.after_thought { text.trim_start_matches('\n') } else { text };
        self.after_thought &= text.is_empty();
        if self.calls == CallsAre::Nowhere {
            self.has_begun |= !text.trim().is_empty();
            push_content(text, parts);
            return;
        }
        let said = text.trim_end();
        if said.is_empty() {
            self.space.push_str(text);
            return;
        }
        self.has_begun = true;
        self.after_call = false;
        push_content(&std::mem::take(&mut self.space), parts);
        push_content(said, parts);
        self.space.push_str(&text[said.len()..]);
    }
}

pub(super) fn object(raw: String, in_array: bool) -> State {
    State::Object { call: Box::default(), raw, in_array }
}
