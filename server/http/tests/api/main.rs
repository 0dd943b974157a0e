//! The real router over the mock engine: what clients see, byte for byte.

mod access;
mod bad_input;
mod bounds;
mod chat;
mod common;
mod completions;
mod messages;
mod socket;
mod status;
mod structured;
mod templates;
mod tokens;
mod tools;
