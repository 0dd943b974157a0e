//! Why a model could not be loaded; every message names the file and the field or tensor.
//!
//! Invariant: nothing that a file contains is repeated at length; names are cut and escaped.

use std::{fmt, io, path::PathBuf};

use crate::WeightsError;

/// A model that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The files together are not a model.
    #[error("{0}")]
    Files(String),
    /// A file cannot be read.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said. Not a `source`: it would be told twice.
        cause: io::Error,
    },
    /// A file contradicts itself, its format, or what this program can run.
    #[error("{}: {fault}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where in the file.
        fault: Fault,
    },
    /// The tensors are not those of the described model.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The container as a whole.
    #[error("{0}")]
    File(String),
    /// One field of the metadata or configuration.
    #[error("field {}: {what}", Quoted(field))]
    Field {
        /// Its name.
        field: String,
        /// What is wrong, with the value found.
        what: String,
    },
    /// One tensor's description.
    #[error("tensor {}: {what}", Quoted(tensor))]
    Tensor {
        /// Its name in the file.
        tensor: String,
        /// What is wrong, with the value found.
        what: String,
    },
}

impl Fault {
    /// The container as a whole is wrong.
    pub fn file(what: impl Into<String>) -> Self {
        Self::File(what.into())
    }

    /// A field is wrong.
    pub fn field(field: &str, what: impl Into<String>) -> Self {
        Self::Field { field: field.into(), what: what.into() }
    }

    /// Holds sizes, each with its field and its maximum, against that; none may be 0.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check_sizes(sizes: &[(&str, usize, usize)]) -> Result<(), Self> {
        for (field, size, max) in sizes {
            if !(1..=*max).contains(size) {
                return Err(Self::field(field, format!("{size} is not between 1 and {max}")));
            }
        }
        Ok(())
    }

    /// A tensor is wrong.
    pub fn tensor(tensor: &str, what: impl Into<String>) -> Self {
        Self::Tensor { tensor: tensor.into(), what: what.into() }
    }

    /// The error that names the file, too.
    pub fn at(self, path: &std::path::Path) -> LoadError {
        LoadError::Invalid { path: path.into(), fault: self }
    }
}

/// Text out of a file, for a message: escaped, and cut when long.
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_CHARS: usize = 80;
        let end = self.0.char_indices().nth(MAX_CHARS).map_or(self.0.len(), |(at, _)| at);
        let dots = if end < self.0.len() { "…" } else { "" };
        write!(f, "{:?}{dots}", &self.0[..end])
    }
}
