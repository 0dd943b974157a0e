//! Named tensors as they are stored.
//!
//! Invariant: a tensor's bytes are exactly its shape's elements in its dtype.

use std::sync::Arc;

use bytes::Bytes;
use kernels::quant::DType;

use crate::error::WeightsError;

/// A stored tensor; cloning copies no numbers.
#[derive(Clone, Debug)]
pub struct Tensor {
    name: String,
    /// What its file calls it, or that of which it is another form.
    theirs: Arc<str>,
    /// Whether it is such.
    reformed: bool,
    dtype: DType,
    shape: Vec<usize>,
    bytes: Bytes,
}

impl Tensor {
    /// A tensor over `bytes`; `shape` has the outermost dimension first.
    ///
    /// # Errors
    /// If `bytes` is not what the shape takes.
    pub fn new(
        name: &str,
        dtype: DType,
        shape: &[usize],
        bytes: Bytes,
    ) -> Result<Self, WeightsError> {
        if num_bytes(dtype, shape) != Some(bytes.len()) {
            return Err(WeightsError::Size {
                tensor: name.into(),
                shape: shape.into(),
                dtype: dtype.name(),
                found: bytes.len(),
            });
        }
        let (theirs, shape) = (name.into(), shape.into());
        Ok(Self { name: name.into(), theirs, reformed: false, dtype, shape, bytes })
    }

    /// Another form of this tensor, or a part, under another name.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn reformed(
        &self,
        name: &str,
        dtype: DType,
        shape: &[usize],
        bytes: Bytes,
    ) -> Result<Self, WeightsError> {
        let new = Self::new(name, dtype, shape, bytes)?;
        Ok(Self { theirs: self.theirs.clone(), reformed: true, ..new })
    }

    /// The same tensor under another name.
    pub fn renamed(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// The same tensor, told to be of a file in this folder.
    pub fn within(self, folder: &str) -> Self {
        Self { theirs: format!("{folder}/{}", self.theirs).into(), ..self }
    }

    /// The same bytes as other numbers, under another name.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn reread(self, name: &str, dtype: DType, shape: &[usize]) -> Result<Self, WeightsError> {
        let bytes = self.bytes.clone();
        self.reformed(name, dtype, shape, bytes)
    }

    /// The canonical name (GGUF's).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its file calls it, or that of which it is another form.
    pub fn theirs(&self) -> &str {
        &self.theirs
    }

    /// Whether it is another form of what its file has, or a part.
    pub fn is_reformed(&self) -> bool {
        self.reformed
    }

    /// How the numbers are stored.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Sizes, outermost first: a matrix is `[rows, cols]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The stored numbers, to share.
    pub(super) fn shared_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The stored numbers, row after row.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes that a shape takes; `None` if rows are not whole blocks, a size is zero or overflows.
pub(crate) fn num_bytes(dtype: DType, shape: &[usize]) -> Option<usize> {
    let (cols, outer) = shape.split_last()?;
    outer
        .iter()
        .try_fold(dtype.row_bytes(*cols)?, |bytes, size| bytes.checked_mul(*size))
        .filter(|bytes| *bytes > 0)
}
