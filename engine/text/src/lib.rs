//! Text in, tokens out, and back: tokenizer, chat template, incremental detokenizer, stop rules.
//!
//! Invariant: this crate knows no model and no device. A [`TextModel`] is immutable and shared;
//! everything that advances token by token ([`Detokenizer`], [`StopMatcher`]) belongs to one
//! choice of one request. All work is bounded by [`limits`].

mod added;
mod answer;
mod bpe;
mod charsmap;
mod chat;
mod detokenizer;
mod error;
mod frame;
mod gguf;
mod hugging_face;
pub mod limits;
mod model;
mod pieces;
mod prompts;
mod split;
mod stack;
mod stop;
#[cfg(test)]
mod table;
mod unigram;
mod wordpiece;
mod words;

pub use answer::{AnswerParser, CallsAre, Family, Part};
pub use chat::ChatInput;
pub use detokenizer::Detokenizer;
pub use error::TextError;
pub use frame::{Cut, Framed, Keep};
pub use gguf::GgufVocab;
pub use hugging_face::HuggingFaceFiles;
pub use model::TextModel;
pub use prompts::Prompts;
pub use stack::{ROOMY_STACK_BYTES, render_here};
pub use stop::{StopMatcher, StopStep};
pub use words::Word;
