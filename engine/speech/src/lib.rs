//! Speech to text on the CPU: Whisper (Radford et al. 2022), declared as data.
//!
//! Where each step of a recording happens: `mel` (samples → features) → `executor/front`
//! (convolutions) and `engine_encoder::Stack` (the encoder's layers) → `executor/decoder` (one
//! token's logits after another) → `decoding` (which tokens may come, which does, times, windows) →
//! `alignment` (times of single tokens, where they are asked for).
//!
//! Invariant: files are parsed at the edge; what runs is the [`WhisperSpec`] and nothing is asked
//! of a model's name. No audio formats, no tokenizer, no requests, no HTTP.

mod alignment;
mod decoding;
mod executor;
mod files;
mod mel;
mod spec;
mod transcriber;
mod vocabulary;

pub use engine_weights::{LoadError, WeightsError};

pub use self::{
    decoding::{DecodingOptions, Fallback},
    executor::{Executor, SpeechError, SpeechOptions},
    files::{ARCHITECTURE, Model, open},
    mel::{Features, MelFilters},
    spec::WhisperSpec,
    transcriber::{Session, TextOf, Transcriber},
    vocabulary::Vocabulary,
};
