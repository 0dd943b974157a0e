//! Chat completions that were asked to be stored.
//!
//! Invariant: one that streams is stored as the client saw it, before the stream ends.

mod gather;
pub(crate) mod routes;
mod wire;

pub(crate) use routes::routes;
pub(crate) use wire::{Keep, KeptChat};
