//! Named tensors as they are stored.
//!
//! Invariant: a tensor's bytes are exactly its shape's elements in its dtype.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kernels::quant::DType;

use crate::error::Quoted;

/// A stored tensor; cloning copies no numbers.
#[derive(Clone, Debug)]
pub struct Tensor {
    name: String,
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
        Ok(Self { name: name.into(), dtype, shape: shape.into(), bytes })
    }

    /// The same tensor under another name.
    pub fn renamed(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// The same bytes as other numbers, under another name.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn reread(self, name: &str, dtype: DType, shape: &[usize]) -> Result<Self, WeightsError> {
        Self::new(name, dtype, shape, self.bytes)
    }

    /// The canonical name (GGUF's).
    pub fn name(&self) -> &str {
        &self.name
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

/// A model's tensors by canonical name.
#[derive(Clone, Debug, Default)]
pub struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    /// Tensors that are just the `wanted` ones, by name and shape.
    ///
    /// # Errors
    /// If one is missing, has another shape, or is there beside them.
    pub fn exactly(
        tensors: Vec<Tensor>,
        wanted: &[(String, Vec<usize>)],
    ) -> Result<Self, WeightsError> {
        let weights: Self = tensors.into_iter().collect();
        for (name, shape) in wanted {
            weights.expect(name, shape)?;
        }
        let known: BTreeSet<_> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        if let Some(name) = weights.names().find(|name| !known.contains(name)) {
            return Err(WeightsError::Unknown { tensor: name.into() });
        }
        Ok(weights)
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// The tensor of this name and shape.
    ///
    /// # Errors
    /// If there is none, or it has another shape.
    pub fn expect(&self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let tensor = self.get(name).ok_or_else(|| WeightsError::Missing { tensor: name.into() })?;
        if tensor.shape != shape {
            return Err(WeightsError::Shape {
                tensor: name.into(),
                want: shape.into(),
                found: tensor.shape.clone(),
            });
        }
        Ok(tensor.clone())
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl FromIterator<Tensor> for Weights {
    fn from_iter<I: IntoIterator<Item = Tensor>>(tensors: I) -> Self {
        Self(tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect())
    }
}

/// The tensors are not those of the described model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// The model needs a tensor that the files lack.
    #[error("tensor {} is missing", Quoted(tensor))]
    Missing {
        /// The canonical name.
        tensor: String,
    },
    /// A tensor does not fit the model.
    #[error("tensor {} has shape {found:?}, the model's sizes ask for {want:?}", Quoted(tensor))]
    Shape {
        /// The canonical name.
        tensor: String,
        /// By the model's description.
        want: Vec<usize>,
        /// In the file.
        found: Vec<usize>,
    },
    /// A tensor that the model's computation would leave out.
    #[error(
        "tensor {} has no place in this model; computing without it would be wrong",
        Quoted(tensor)
    )]
    Unknown {
        /// The canonical name.
        tensor: String,
    },
    /// The bytes at hand are not those of the shape.
    #[error("tensor {} of shape {shape:?} in {dtype} cannot have {found} bytes", Quoted(tensor))]
    Size {
        /// The canonical name.
        tensor: String,
        /// The shape.
        shape: Vec<usize>,
        /// The format's name.
        dtype: &'static str,
        /// Bytes at hand.
        found: usize,
    },
}
