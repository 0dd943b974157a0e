//! CPU kernels, each beside a plain reference.
//!
//! Invariant: this crate knows pointers, shapes and dtypes; no framework's tensors, no models,
//! no requests.

pub mod quant;
