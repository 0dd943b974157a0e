//! What is said, what is thought and which tools are called, in the text that a model writes.
//!
//! Each family has its own marks for it. Invariant: where the text was cut into pieces makes no
//! difference, no text is lost, and what is no well-formed call is text.

mod call;
mod calls;
mod content;
mod family;
mod json;
mod parser;
mod pieces;
mod python;
mod tagged;

#[cfg(test)]
mod tests;

pub use family::Family;
pub use parser::{AnswerParser, CallsAre};

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Said.
    Content(String),
    /// Thought before it is said.
    Reasoning(String),
    /// A tool is called; its arguments follow.
    Call {
        /// The tool.
        name: String,
    },
    /// More of the last call's arguments, which are JSON when all are joined.
    Arguments(String),
}
