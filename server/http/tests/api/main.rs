//! The real router over the mock engine: what clients see, byte for byte.

mod access;
mod bad_input;
mod bounds;
mod chat;
mod common;
mod completions;
mod conversations;
mod kept;
mod messages;
mod responses;
mod responses_bad;
mod responses_kept;
mod socket;
mod status;
mod stored;
mod structured;
mod tokens;
mod tools;
