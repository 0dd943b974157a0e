//! A deterministic engine with a virtual clock and no weights.
//!
//! It keeps for every position of the KV cache which token was written there and after which
//! prefix, reads everything back through the block tables, and makes the next token a function
//! of what it read. So a block that was shared, overwritten or reused wrongly shows either as
//! [`EngineError::InvalidStep`](engine_core::EngineError::InvalidStep) or as another token than
//! the same request gives alone.
//! Invariant: the answer to a piece of work depends on its prefix and its `Sample` only.

mod clock;
mod encoder;
mod engine;
mod images;
mod memory;
mod model;
mod speech;

pub use clock::{Clock, StepCost};
pub use encoder::MockEncoder;
pub use engine::{Fault, MockEngine};
pub use images::MockImageReader;
pub use model::{MockModel, Script};
pub use speech::{MockSession, MockSpeech};
