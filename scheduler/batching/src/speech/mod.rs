//! Recordings for a model of speech: a bounded queue that is fair between tenants, a window at a
//! time of one recording after another, and one driver thread per model.
//!
//! Where each step of a request happens: `handle` (submit) → `queue` (whose turn it is) → `driver`
//! (the loop take → compute → give) → `handle` (steps).
//!
//! Invariant: a request gets all its steps in order, or an error in place of the next; dropping
//! what it waits for ends its work within a token.

mod config;
mod driver;
mod handle;
mod queue;

pub use config::{SpeechConfig, SpeechRefusal};
pub use driver::{SpeechDriver, spawn_speech};
pub use handle::{SpeechHandle, SpeechStream};
