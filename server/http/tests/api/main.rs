//! The real router over the mock engine: what clients see, byte for byte.

mod accepted;
mod access;
mod bad_input;
mod bounds;
mod chat;
mod common;
mod completions;
mod cors;
mod endings;
mod hostile;
mod http2;
mod idempotent;
mod messages;
mod socket;
mod status;
mod structured;
mod tls;
mod tokens;
mod tools;
