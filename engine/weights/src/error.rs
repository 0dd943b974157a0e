//! Why a model could not be loaded; every message names the file and the field or tensor.
//!
//! Invariant: nothing that a file contains is repeated at length; names are cut and escaped.

use std::{fmt, io, path::PathBuf};

use crate::fields::Fields;

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
    /// The field that names the architecture, which is none that is asked for. Which are known,
    /// only whoever knows the parsers of all kinds of models can tell.
    #[error("field {}: {} is not supported", Quoted(field), Quoted(found))]
    Architecture {
        /// Its name.
        field: &'static str,
        /// What it says.
        found: String,
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

/// The tensors are not those of the described model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// The model needs a tensor that the files lack.
    #[error("tensor {} is missing{by}", Quoted(tensor))]
    Missing {
        /// The canonical name, or once that is [told](Self::told), the file's.
        tensor: String,
        /// What asks for it.
        by: By,
    },
    /// A tensor does not fit the model.
    #[error(
        "tensor {}{} has shape {found:?}, the model's sizes ask for {want:?}{by}",
        Quoted(tensor), in_form(form.as_deref())
    )]
    Shape {
        /// The file's name.
        tensor: String,
        /// The canonical name, if that is another form of it.
        form: Option<Box<str>>,
        /// By the model's description.
        want: Vec<usize>,
        /// In the file.
        found: Vec<usize>,
        /// What asks for the first size that differs.
        by: By,
    },
    /// A tensor that the model's computation would leave out.
    #[error(
        "tensor {} has no place in this model; computing without it would be wrong{by}",
        Quoted(tensor)
    )]
    Unknown {
        /// The file's name.
        tensor: String,
        /// What leaves no place for it.
        by: By,
    },
    /// The bytes at hand are not those of the shape.
    #[error("tensor {} of shape {shape:?} in {dtype} cannot have {found} bytes", Quoted(tensor))]
    Size {
        /// The name.
        tensor: String,
        /// The shape.
        shape: Vec<usize>,
        /// The format's name.
        dtype: &'static str,
        /// Bytes at hand.
        found: usize,
    },
}

impl WeightsError {
    /// A tensor of this name is in a file, and there is no place for it.
    pub fn unknown(tensor: &str) -> Self {
        Self::Unknown { tensor: tensor.into(), by: By::default() }
    }

    /// The error in a file's words: what it says in the fields that decide, and by `theirs` what
    /// it would call a tensor of a canonical name.
    pub fn told(
        mut self,
        fields: &impl Fields,
        theirs: impl FnOnce(&str) -> Option<String>,
    ) -> Self {
        if let Self::Missing { tensor, .. } = &mut self
            && let Some(name) = theirs(tensor)
        {
            *tensor = name;
        }
        if let Self::Missing { by, .. } | Self::Shape { by, .. } | Self::Unknown { by, .. } =
            &mut self
        {
            by.0.iter_mut().for_each(|field| *field = fields.says(field));
            by.0.dedup();
        }
        self
    }
}

fn in_form(canonical: Option<&str>) -> String {
    canonical.map(|name| format!(" (as {})", Quoted(name))).unwrap_or_default()
}

/// The fields that decide on a tensor, for the end of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct By(Vec<String>);

impl By {
    /// By the usual names of fields.
    pub(crate) fn new(fields: &[&str]) -> Self {
        Self(fields.iter().map(|field| (*field).to_owned()).collect())
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => Ok(()),
            fields => write!(f, "; {}", fields.join(", ")),
        }
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
