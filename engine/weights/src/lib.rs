//! Named tensors in model files: safetensors folders, plain and quantised, and GGUF, read in place
//! from a memory map, and written anew with other number formats; and matrices in the layout of
//! the kernels' products.
//!
//! Invariant: nothing here knows what a model computes. Files are not trusted: whatever they
//! contain, the answer is tensors whose bytes are their shapes', or an error, soon.

pub mod config;
mod error;
pub mod fields;
mod filled;
pub mod gguf;
pub mod hugging_face;
pub mod linear;
pub mod memory;
pub mod mmap;
pub mod names;
pub mod packed;
mod quantization;
mod quantize;
mod reshape;
mod safetensors;
mod sizes;
mod tensor;
mod unfinished;
mod weights;

use std::{collections::BTreeMap, path::PathBuf};

pub use kernels::quant::{DType, can_quantize};

pub use self::{
    error::{By, Fault, LoadError, Quoted, WeightsError},
    quantize::{Progress, quantize, quantized_len},
    sizes::{Stored, kept_len},
    tensor::Tensor,
    weights::{Size, Weights},
};

/// A model's files: where the file of each name is.
pub type Files = BTreeMap<String, PathBuf>;
