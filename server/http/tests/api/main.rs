//! The real router over the mock engine: what clients see, byte for byte.

mod access;
mod bad_input;
mod bedrock;
mod bedrock_access;
mod bedrock_errors;
mod bedrock_invoke;
mod bounds;
mod chat;
mod common;
mod completions;
mod messages;
mod socket;
mod status;
mod structured;
mod tokens;
mod tools;
