//! Language models: one declared decoder, its weights, its executors, its sampler.
//!
//! Invariant: nothing here knows of requests, tenants, HTTP or SQL. Files come in as paths, steps
//! come in through [`engine_core::Engine`], tokens go out.

pub mod adapters;
mod engine;
pub mod executors;
mod families;
mod jobs;
pub mod perplexity;
pub mod sampler;
pub mod spec;
pub mod weights;

pub use engine::LlmEngine;
pub use engine_weights::{Fault, LoadError};
pub use families::known as known_architectures;
