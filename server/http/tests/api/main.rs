//! The real router over the mock engine: what clients see, byte for byte.

mod accepted;
mod access;
mod bad_input;
mod bedrock;
mod bedrock_access;
mod bounds;
mod chat;
mod common;
mod completions;
mod conversations;
mod cors;
mod endings;
mod hostile;
mod http2;
mod idempotent;
mod kept;
mod messages;
mod responses;
mod responses_kept;
mod socket;
mod status;
mod stored;
mod structured;
mod tls;
mod tokens;
mod tools;
