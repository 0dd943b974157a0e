//! Encoders on the CPU: one declared transformer that sees both ways, its weights, and what makes
//! one row of numbers of a text: pooling, heads, normalisation.
//!
//! Invariant: families and modules are parsers; the executor runs the [`EncoderSpec`] and the
//! stages after it and asks nothing of the model's name. No requests, no HTTP, no tokenizer.

mod executor;
mod families;
mod files;
mod gguf;
mod labels;
mod modules;
pub mod spec;

pub use engine_weights::{LoadError, WeightsError};

pub use self::{
    executor::{DecoderEmbedder, EncoderError, EncoderOptions, Precision, Stack, TextEncoder},
    families::known as known_architectures,
    files::{DecoderModel, Model, open, open_decoder},
    gguf::KNOWN as GGUF_ARCHITECTURES,
    spec::{EncoderSpec, StackSpec},
};
