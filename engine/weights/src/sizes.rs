//! How much memory weights will take, known before they are read.

use crate::{
    Files, LoadError, Weights,
    hugging_face::{self, file_len},
    packed,
};

/// Weights by their files alone: none is opened, which may take memory itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Of all files.
    bytes: u64,
    /// Whether opening them [restores](hugging_face::is_restored) all that they hold.
    pub restored: bool,
}

impl Stored {
    /// Those of the model that `files` hold.
    ///
    /// # Errors
    /// If the configuration cannot be read, or a file is not there.
    pub fn of(files: &Files) -> Result<Self, LoadError> {
        let is_weights = |name: &str| name.ends_with(".safetensors") || name.ends_with(".gguf");
        let weights = files.iter().filter(|(name, _)| is_weights(name));
        let bytes = weights.map(|(_, path)| file_len(path)).sum::<Result<u64, _>>()?;
        Ok(Self { bytes, restored: hugging_face::is_restored(files)? })
    }

    /// Bytes of memory that they take at least, about: packed, F32 has half its bits, and all else
    /// hardly fewer than in the file.
    pub fn least(&self) -> u64 {
        if self.restored { self.bytes } else { self.bytes / 2 }
    }
}

/// The bytes that all of a model's weights take once those are packed that can be, about: which of
/// them an executor reads as they are stored, it alone knows.
pub fn kept_len(weights: &Weights) -> u64 {
    let tensors = weights.names().filter_map(|name| weights.get(name));
    let kept = tensors.map(|tensor| packed::byte_len(tensor).unwrap_or(tensor.bytes().len()));
    kept.map(|bytes| bytes as u64).sum()
}
