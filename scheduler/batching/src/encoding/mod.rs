//! Texts for an encoder: a bounded queue that is fair between tenants, batches filled from several
//! requests, and one driver thread per encoder.
//!
//! Where each step of a request happens: `handle` (submit) → `queue` (whose turn it is) →
//! `driver` (the loop take → encode → give) → `handle` (rows).
//!
//! Invariant: a request gets all its rows, in the order of its inputs, or one error; dropping what
//! it waits for takes out all of it that is not being computed.

mod config;
mod driver;
mod handle;
mod queue;

pub use config::{Amount, EncodeRefusal, EncodingConfig, InvalidInput};
pub use driver::{EncoderDriver, spawn_encoder};
pub use handle::{EncoderHandle, Rows};
