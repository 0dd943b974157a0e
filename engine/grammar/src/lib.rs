//! Answers that match a JSON schema, a regular expression or a grammar.
//!
//! A [`Source`] is compiled by the model's [`Compiler`], away from the engine; what comes of it
//! follows each sequence beside the model (ADR 9). Grammars come from clients: limits bound what
//! each may cost, and one that cannot be followed any further fails its sequence, never the step.
//!
//! Invariant: a mask never allows a token that the grammar does not.

mod compiler;
mod ebnf;
mod error;
mod follow;
mod json;
mod kept;
mod size;
mod source;
mod vocabulary;
mod wellformed;
mod workers;

pub use compiler::{Compiled, Compiler};
pub use error::CompileError;
pub use json::loosened;
pub use source::{CallForm, Calls, Source};
pub use wellformed::check_schema;
