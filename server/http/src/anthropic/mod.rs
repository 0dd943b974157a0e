//! Anthropic's Messages API over the same chat: its requests become ours, our outputs its events.
//!
//! Invariant: nothing is decided here that the chat does not decide; only names and shapes differ.

mod errors;
mod names;
mod request;
mod wire;

pub(crate) use errors::shape_errors;
pub(crate) use names::Names;
pub(crate) use request::to_chat;
pub(crate) use wire::MessagesWire;
