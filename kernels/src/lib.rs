//! CPU kernels, each beside a plain reference.
//!
//! Invariant: this crate knows pointers, shapes and dtypes; no framework's tensors, no models,
//! no requests. Results do not depend on the number of threads or on what else is in a batch.

#![allow(unsafe_code, reason = "vector instructions and disjoint writes from several threads")]

pub mod activation;
pub mod attention;
pub mod elementwise;
pub mod exp;
mod isa;
pub mod lines;
pub mod low_rank;
pub mod matmul;
pub mod norm;
pub mod packed;
pub mod pool;
pub mod quant;
pub mod select;
mod simd;

pub use isa::Isa;
